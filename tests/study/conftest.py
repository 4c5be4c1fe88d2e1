"""A made-up run folder: small, with counts that can be added up by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FIELDS = 12
THRESHOLDS = (0.25, 0.5, 0.75)


def record(
    recipe: str, ratio: int, seed: int, split: str, *, gain: int = 0, alarms: int = 0
) -> dict[str, Any]:
    """Scores of a segmenter that finds `gain` more and invents `alarms` more of 100 px a field.

    Without either, every field has tp = 60, fp = 30, fn = 40, give or take the field's own
    difficulty and one pixel a seed.
    """
    fields = {}
    for index in range(FIELDS):
        tp = 60 - index + seed + gain
        case = "left" if index < FIELDS // 2 else "right"
        fields[f"{case}_x{index}_y0"] = {"tp": tp, "fp": 30 - index + alarms, "fn": 100 - tp}
    filtered = {name: {**c, "fp": c["fp"] // 2} for name, c in fields.items()}
    whole = _added(list(fields.values()))
    return {
        "recipe": recipe,
        "ratio": ratio,
        "seed": seed,
        "split": split,
        "threshold": 0.5,
        "cases": _by_case(fields),
        "filtered": _by_case(filtered),
        "fields": fields,
        "filtered_fields": filtered,
        "objects": {"left": {"tp": 3, "fp": 1, "fn": 2}, "right": {"tp": 4, "fp": 1, "fn": 1}},
        "curve": [
            {
                "threshold": t,
                "tp": whole["tp"] + round(400 * (0.5 - t)),
                "fp": whole["fp"] + round(600 * (0.5 - t)),
                "fn": whole["fn"] - round(400 * (0.5 - t)),
            }
            for t in THRESHOLDS
        ],
    }


def _added(counts: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(each[name] for each in counts) for name in ("tp", "fp", "fn")}


def _by_case(fields: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        case: _added([c for name, c in fields.items() if name.startswith(case)])
        for case in ("left", "right")
    }


def write_scores(run: Path, scores: dict[str, Any]) -> Path:
    """Put scores where a run has them."""
    folder = run / "cells" / "{recipe}-{ratio}-{seed}".format(**scores)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scores-{scores['split']}.json"
    path.write_text(json.dumps(scores))
    return path


def write_pool(run: Path, name: str, labelled_rows: int) -> None:
    """Two pairs of 64 px with labelled first rows, one of them a rim; a removal's rim below."""
    for folder in ("tiles", "labels"):
        (run / "pools" / name / folder).mkdir(parents=True, exist_ok=True)
    labels = np.zeros((64, 64), np.uint8)
    labels[:labelled_rows] = 1
    labels[0] += 128
    labels[63] = 128
    rng = np.random.default_rng(0)
    for index in range(2):
        stem = f"synthetic_x{index:07d}_y0.png"
        Image.fromarray(labels).save(run / "pools" / name / "labels" / stem)
        picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(picture).save(run / "pools" / name / "tiles" / stem)
    (run / "pools" / name / "dropped.json").write_text(json.dumps({"copy": 1, "agreement": 4}))
    cost = {"seconds": 20.0, "processor_seconds": 30.0, "device": "cpu", "count": 2}
    (run / "pools" / name / "cost.json").write_text(json.dumps(cost))


ARMS = (("real", 0, 0), ("plain", 100, -2), ("donor", 50, 4), ("donor", 100, 10))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with three seeds of every arm on validation and test, in which donors help."""
    folder = tmp_path / "run"
    for recipe, ratio, gain in ARMS:
        for seed in (0, 1, 2):
            for split in ("validation", "test"):
                write_scores(folder, record(recipe, ratio, seed, split, gain=gain))
    chosen = {"recipe": "donor", "ratio": 100, "why": "A fixture.", "validation": {}}
    (folder / "chosen.json").write_text(json.dumps(chosen))
    for name in ("plain", "donor"):
        write_pool(folder, name, 16)
    (folder / "data.json").write_text(
        json.dumps(
            {
                "tiles": "/secret/place/tiles",
                "labels": "/secret/place/labels",
                "mpp": 0.5,
                "attribution": "(c) The Makers & Sons",
                "patches": 100,
                "class_share": 0.08,
            }
        )
    )
    splits = {"train": ["a_x0_y0"], "validation": ["b_x0_y0"], "test": ["left_x0_y0"]}
    (folder / "splits.json").write_text(json.dumps(splits))
    (folder / "images").mkdir()
    (folder / "images" / "pixel.json").write_text(
        json.dumps(
            {
                "variant": "pixel",
                "kid": {"value": 0.0312, "low": 0.021, "high": 0.041},
                "fid": None,
                "lpips": {"value": 0.41, "low": 0.3, "high": 0.5},
                "hole_kid": {"value": 0.055, "low": None, "high": None},
                "n": 64,
                "taught": {"steps": 500, "processor_minutes": 4.1},
                "extractor": "a network",
                "extractor_sha256": "0" * 64,
            }
        )
    )
    return folder
