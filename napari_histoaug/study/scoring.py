"""Counting what a cell's segmenter finds in a split, without and with the filter.

Pixels are those that the segmenter sees.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.learning.tissue import case_of
from napari_histoaug.metrics import Confusion, confusion
from napari_histoaug.metrics.objects import label_objects, match_objects
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.choosing import CHOSEN
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.filtering import cross_filtered, filtered_by, found_in, keep_filter
from napari_histoaug.study.predicting import SHADES, Field, predicted, shade
from napari_histoaug.study.preparing import DATA
from napari_histoaug.study.stages import COST, KEY, digest, key_of, same
from napari_histoaug.study.teaching import CELLS, SEGMENTER, CellName

POINTS = 21  # of a curve
FILTER = "filter"

Bool = npt.NDArray[np.bool_]
Histogram = npt.NDArray[np.int64]
Counts = dict[str, dict[str, int]]


def score_cell(config: StudyConfig, name: CellName, split: str) -> bool:
    """Write ``scores-<split>.json`` of a cell; returns whether anything was done.

    Raises
    ------
    StudyError
        When the test is asked for before a recipe was chosen on validation.
    """
    place = config.out / CELLS / str(name)
    key: dict[str, Any] = {
        "cell": key_of(place),
        "data": key_of(config.out / DATA),
        "filter": config.filter.model_dump(mode="json"),
        "split": split,
        "points": POINTS,
    }
    if split == "test":
        if not (config.out / CHOSEN).exists():
            raise StudyError(
                f"{config.out / CHOSEN} is not there yet: the test is touched once, after a recipe "
                "was chosen on validation."
            )
        validation = read_json(place / "scores-validation.json")
        key["threshold"] = validation["threshold"]
    stamped = {"inputs": key, "sha256": digest(key)}
    stamp = place / f"scores-{split}.{KEY}"
    if same(stamp, stamped) and (place / f"scores-{split}.json").exists():
        # Newer than what it depends on, for those who go by times.
        (place / f"scores-{split}.json").touch()
        return False
    wall, processor = time.monotonic(), time.process_time()
    scores = _scores(config, name, split, place, key.get("threshold"))
    write_json(place / f"scores-{split}.json", scores)
    cost = {
        "seconds": time.monotonic() - wall,
        "processor_seconds": time.process_time() - processor,
        "device": "cpu",
        "count": len(scores["fields"]),
    }
    (place / f"prediction-{split}").mkdir(exist_ok=True)
    write_json(place / f"prediction-{split}" / COST, cost)
    write_json(stamp, stamped)
    return True


def _scores(
    config: StudyConfig, name: CellName, split: str, place: Path, threshold: float | None
) -> dict[str, Any]:
    fields = list(predicted(config, place / SEGMENTER, split))
    true, false = histograms(fields)
    if threshold is None:
        threshold = best_shade(true, false) / SHADES
    curve = curve_of(true, false, shade(threshold))
    findings = [
        found_in(f.name, f.image, f.found(threshold), f.truth & f.known, config.filter)
        for f in fields
    ]
    if split == "validation":
        keep_filter(place / FILTER, findings, config.filter, name.seed)
        kept = cross_filtered(findings, config.filter, name.seed)
    else:
        kept = filtered_by(place / FILTER, findings)
    plain = {f.name: confusion(f.truth, f.found) for f in findings}
    filtered = {f.name: confusion(f.truth, kept[f.name]) for f in findings}
    return {
        "recipe": name.recipe,
        "ratio": name.ratio,
        "seed": name.seed,
        "split": split,
        "threshold": threshold,
        "cases": _by_case(plain),
        "filtered": _by_case(filtered),
        "fields": {field: _plain(counts) for field, counts in plain.items()},
        "filtered_fields": {field: _plain(counts) for field, counts in filtered.items()},
        "objects": _by_case({f.name: _matched(f.truth, f.numbered) for f in findings}),
        "curve": [{"threshold": t, **_plain(c)} for t, c in curve],
    }


def _matched(truth: Bool, found: npt.NDArray[np.int32]) -> Confusion:
    """Counts of objects, matched at an intersection over union of a half."""
    return match_objects(label_objects(truth), found).counts


def histograms(fields: Sequence[Field]) -> tuple[Histogram, Histogram]:
    """How many true and untrue pixels got each stored probability, int64 (SHADES + 1,)."""
    true, false = np.zeros(SHADES + 1, np.int64), np.zeros(SHADES + 1, np.int64)
    for f in fields:
        true += np.bincount(f.probability[f.truth & f.known], minlength=SHADES + 1)
        false += np.bincount(f.probability[~f.truth & f.known], minlength=SHADES + 1)
    return true, false


def best_shade(true: Histogram, false: Histogram) -> int:
    """The stored probability, 0 left out, from which counting gives the highest Dice.

    Every one is tried: a network that was taught for long, or for a short time, crowds its answers
    into a small part of the range.
    """
    tp, fp = (part[::-1].cumsum()[::-1] for part in (true, false))
    dice = 2 * tp / np.maximum(tp + fp + true.sum(), 1)
    return int(dice[1:].argmax()) + 1


def curve_of(true: Histogram, false: Histogram, chosen: int) -> list[tuple[float, Confusion]]:
    """Counts at thresholds that call ever fewer pixels vessels, `chosen` among them.

    The shares of pixels so called go evenly in their logarithms from all to a thousandth.
    """
    positive = (true + false)[::-1].cumsum()[::-1]
    shares = np.geomspace(1, 1e-3, POINTS - 1) * positive[0]
    # The lowest threshold that calls no more than each share of the pixels.
    at = {int(np.argmax(positive <= share)) for share in shares if positive[-1] <= share}
    at |= {0, chosen, SHADES}
    found = []
    for level in sorted(at):
        tp, fp = int(true[level:].sum()), int(false[level:].sum())
        found.append((level / SHADES, Confusion(tp, fp, int(true.sum()) - tp)))
    return found


def _by_case(fields: dict[str, Confusion]) -> Counts:
    cases: dict[str, Confusion] = {}
    for name, counts in fields.items():
        case = case_of(Path(name))
        cases[case] = cases.get(case, Confusion()) + counts
    return {case: _plain(counts) for case, counts in cases.items()}


def _plain(counts: Confusion) -> dict[str, int]:
    return {"tp": counts.tp, "fp": counts.fp, "fn": counts.fn}
