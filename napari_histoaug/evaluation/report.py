"""Judging a generator from end to end: fill, score, draw, write down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from napari_histoaug.evaluation.fills import filled, filled_by_all, inpaint_from, inpaint_with
from napari_histoaug.evaluation.held_out import HeldOutHole, held_out_holes
from napari_histoaug.evaluation.plain_answers import (
    Fill,
    biharmonic,
    navier_stokes,
    pasted_donor,
    telea,
)
from napari_histoaug.evaluation.scores import (
    Compare,
    as_table,
    copying,
    crop_features,
    diversity,
    kernel_difference,
    kernel_interval,
    quartiles,
    score_fill,
)
from napari_histoaug.evaluation.sheet import blind_sheet, rows_of_fillings
from napari_histoaug.evaluation.whole_patches import (
    judge_reconstruction,
    judge_synthesis,
    patches_of,
)
from napari_histoaug.generation import Generator, load_generator
from napari_histoaug.generation.donors import BUNDLED, STRENGTH, read_donors
from napari_histoaug.metrics import confusion
from napari_histoaug.metrics.extractors import Extractor, efficientnet_lite1
from napari_histoaug.metrics.perceptual import choose_lpips
from napari_histoaug.segmentation import Segmenter, available_segmenters, load_segmenter

Image = npt.NDArray[np.uint8]
Say = Callable[[str], None]

TEST_CASES = ("ischemic-colitis", "breast-lobular-carcinoma")
TRAIN_CASES = (
    "liver-hemangioma",
    "ischemia-gangrenous-cholecystitis",
    "acute-appendicitis",
    "colon-submucosal-lipoma",
    "granular-cell-tumor",
    "ganglioneuroma",
)
OWN = "pixel-time"  # the generator's own settings
SHORT_REPAINT = "repaint-50"
STARTED = (OWN, "turbo")  # ways that are also tried from a real vessel
USUAL = "turbo, real vessel"  # what the window does unless asked otherwise
SEEDS = 2
SHEET = 20
JUDGED = (OWN, USUAL)  # looked at by eyes and by a segmenter
COMPARED = ("turbo", USUAL)
AGAINST = ("paper", SHORT_REPAINT, "Telea", "Navier-Stokes", "biharmonic", "donor, pasted")
SHOWN = ("paper", SHORT_REPAINT, OWN, "turbo", USUAL, "donor, pasted", "Telea")


@dataclass(frozen=True)
class CardSettings:
    """What to judge, and on what.

    Attributes
    ----------
    tiles, annotations : Path
        Fields, and the folder with ``test/`` and ``train/`` outlines of them.
    out : Path
        Where fillings, pictures and ``results.json`` go.
    model : str, optional
        Generator name or folder; the bundled one if omitted.
    holes, slow : int
        Held-out vessels, and how many of them are filled by RePaint as published; none leaves it
        out.
    """

    tiles: Path
    annotations: Path
    out: Path
    model: str | None = None
    holes: int = 60
    slow: int = 8


def judge(settings: CardSettings, say: Say) -> dict[str, Any]:
    """Fill held-out vessels in every way and compare; returns what ``results.json`` holds.

    Raises
    ------
    napari_histoaug.errors.HistoaugError
        When model, tissue or outlines cannot be used.
    """
    generator = load_generator(settings.model)
    test, train = (settings.annotations / part for part in ("test", "train"))
    items = held_out_holes(settings.tiles, test, TEST_CASES, most=settings.holes)
    donors = held_out_holes(settings.tiles, train, TRAIN_CASES)
    say(f"{len(items)} held-out vessels, {len(donors)} training vessels")
    extractor = efficientnet_lite1()
    # A folder a model: results of another one are never mixed in.
    folder = settings.out / generator.sha256[:12]
    limits = {"paper": settings.slow}
    wanted = {n: way for n, way in ways(generator, donors).items() if limits.get(n, 1)}
    images = filled_by_all(items, wanted, folder, limits, say)
    real = crop_features(items, [item.image for item in items], extractor)
    segmenter = _segmenter()
    lpips = None if segmenter is None else choose_lpips("tissue")
    fields = sorted({item.field for item in items})
    figures: dict[str, Any] = {
        "cases": list(TEST_CASES),
        "holes": len(items),
        "extractor": extractor.name,
        "generator_sha256": generator.sha256,
        "lpips": None if lpips is None else lpips.name,
        "fills": _scores(items, images, real, extractor, generator, lpips),
        "paired": _paired(items, images, real, extractor),
        **_about_training(generator, items, donors, images, real, extractor, folder, say),
        "reconstruction": judge_reconstruction(
            generator, patches_of(settings.tiles, fields), extractor
        ),
        "synthesis": judge_synthesis(generator, items, extractor, folder / "synthesis", say, lpips),
    }
    if segmenter is not None:
        made = {name: images[name] for name in JUDGED if name in images}
        figures["class_fidelity"] = class_fidelity(segmenter, items, made)
    _draw(settings.out, items, images)
    _save_json(settings.out / "results.json", figures)
    return figures


def ways(generator: Generator, donors: Sequence[HeldOutHole]) -> dict[str, Fill]:
    """Every way of filling that is compared, the generator's first."""
    bank = read_donors(BUNDLED)
    presets = ("draft", "turbo", "fast", SHORT_REPAINT, "paper")
    return {
        OWN: inpaint_with(generator),
        **{name: inpaint_with(generator, method=name) for name in presets},
        **{f"{name}, real vessel": inpaint_from(bank, generator, name) for name in STARTED},
        "Telea": telea,
        "Navier-Stokes": navier_stokes,
        "biharmonic": biharmonic,
        "donor, pasted": pasted_donor(list(donors)),
    }


def _scores(
    items: Sequence[HeldOutHole],
    images: Mapping[str, Sequence[Image]],
    real: npt.NDArray[np.float32],
    extractor: Extractor,
    generator: Generator,
    lpips: Compare | None,
) -> dict[str, dict[str, object]]:
    from napari_histoaug.generation import WAYS
    from napari_histoaug.generation.methods import Way

    as_it_was = score_fill(items, [item.image for item in items], real, extractor)
    table = as_table(
        {
            "nothing (as it was)": as_it_was,
            **{n: score_fill(items, i, real, extractor, lpips) for n, i in images.items()},
        }
    )
    # Real against itself would be below zero: one half of the vessels against the other.
    halves = kernel_interval(real[::2], real[1::2], draws=200, seed=0)
    table["nothing (as it was)"]["kid"] = asdict(halves)
    for name, score in table.items():
        way, _, start = name.partition(", ")
        if way in WAYS:
            strength = STRENGTH if start else 1.0
            score["evaluations"] = Way.of(generator, way).evaluations(generator, strength)
    return table


def _paired(
    items: Sequence[HeldOutHole],
    images: Mapping[str, Sequence[Image]],
    real: npt.NDArray[np.float32],
    extractor: Extractor,
) -> dict[str, dict[str, dict[str, object]]]:
    """For the ways that matter: their kernel distance less that of each other way, same holes."""
    features = {n: crop_features(items[: len(i)], i, extractor) for n, i in images.items()}
    found: dict[str, dict[str, dict[str, object]]] = {}
    for ours in (way for way in COMPARED if way in features):
        found[ours] = {}
        for theirs in (way for way in AGAINST if way in features):
            n = len(features[theirs])
            difference = kernel_difference(real, features[ours][:n], features[theirs])
            found[ours][theirs] = {"holes": n, **asdict(difference)}
    return found


def _about_training(
    generator: Generator,
    items: Sequence[HeldOutHole],
    donors: Sequence[HeldOutHole],
    images: Mapping[str, Sequence[Image]],
    real: npt.NDArray[np.float32],
    extractor: Extractor,
    folder: Path,
    say: Say,
) -> dict[str, Any]:
    """Copies and diversity."""
    taught = crop_features(donors, [donor.image for donor in donors], extractor)
    made = crop_features(items, images[OWN], extractor)
    few = items[:SHEET]
    fill = inpaint_with(generator)
    by_seed = [
        crop_features(
            few, filled(few, fill, folder / f"seed-{seed}", seed=seed, say=say), extractor
        )
        for seed in range(1, SEEDS + 1)
    ]
    return {
        "copying": asdict(copying(taught, made, real)),
        "diversity": diversity(by_seed, real),
    }


def class_fidelity(
    segmenter: Segmenter, items: Sequence[HeldOutHole], made: Mapping[str, Sequence[Image]]
) -> dict[str, dict[str, float]]:
    """Does a segmenter that never saw the generator find the vessel in the hole?

    Returns
    -------
    dict
        For "real" and each way of `made`: Dice with the outline, inside the hole and 16 px around
        it, median and quartiles over the holes.
    """
    from napari_histoaug.masks import dilate

    found: dict[str, list[float]] = {}
    for name, shown in {"real": [item.image for item in items], **made}.items():
        found[name] = []
        for item, image in zip(items, shown, strict=True):
            labels = segmenter.labels(segmenter.probabilities(image[None])[0])
            dice = confusion(item.vessel, labels, dilate(item.hole, 16)).dice
            found[name].append(dice or 0.0)
    return {name: asdict(quartiles(np.array(values))) for name, values in found.items()}


def _segmenter() -> Segmenter | None:
    return load_segmenter() if "bundled" in available_segmenters() else None


def _draw(out: Path, items: Sequence[HeldOutHole], images: Mapping[str, Sequence[Image]]) -> None:
    for seed, name in enumerate(way for way in JUDGED if way in images):
        # shuffled anew: what one sheet shows as it was, the other one may show filled
        sheet = blind_sheet(items, images[name], seed=seed)
        file = f"blind-{name.replace(', ', '-').replace(' ', '-')}"
        Pillow.fromarray(sheet.image).save(out / f"{file}.png")
        _save_json(out / f"{file}.json", {"real": sheet.real, "holes": sheet.holes})
    shown = {name: images[name] for name in SHOWN if name in images}
    count = min(len(made) for made in shown.values())
    rows = rows_of_fillings(items[:count], shown)
    Pillow.fromarray(rows).save(out / "fillings.png")


def _save_json(path: Path, content: object) -> None:
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    os.replace(temporary, path)
