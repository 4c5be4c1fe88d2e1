"""One file with everything a report says: ``results.json``, gathered from a run folder.

Every printed figure is computed again from ``cells``. What a run lacks is listed, not hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from napari_histoaug.edits.versions import versions
from napari_histoaug.generation.dataset import LABELS
from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.learning.tissue import RIM
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.cells import (
    CELLS,
    PART,
    REAL,
    Cell,
    Split,
    by_arm,
    parse_cell,
    read_cells,
    seeds_of,
)
from napari_histoaug.study.choosing import CHOSEN
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.stages import COST, KEY
from napari_histoaug.study.thesis import THESIS

RESULTS = "results.json"
POOLS, STARTS, IMAGES = "pools", "starts", "images"
DATA, SPLITS = "data.json", "splits.json"
VARIANTS = (
    *("pixel", "latent-4", "latent-8", "inpainted"),
    *("reconstruction-4", "reconstruction-8"),
)


@dataclass(frozen=True)
class Results:
    """What ``results.json`` holds.

    Attributes
    ----------
    cells : tuple of Cell
    content : dict
        The whole file.
    """

    cells: tuple[Cell, ...]
    content: dict[str, Any]

    @property
    def missing(self) -> list[str]:
        """What the run lacks, in words."""
        return list(self.content.get("missing", []))


def collect(run: Path) -> Path:
    """Gather what a run folder holds and write ``results.json`` into it; returns its path.

    Raises
    ------
    StudyError
        When the folder has no scores at all, or a damaged file.
    """
    read = [pair for split in get_args(Split) for pair in read_cells(run, split)]
    if not read:
        raise StudyError(f"{run} holds no scores; run the study first, or name its folder.")
    cells = [cell for cell, _ in read]
    images = [
        read_json(path)
        for path in sorted((run / IMAGES).glob("*.json"))
        if path.name not in (KEY, COST)
    ]
    chosen, shares = _optional(run / CHOSEN), class_shares(run)
    content = {
        "cells": [record for _, record in read],
        "chosen": chosen,
        "images": images,
        "class_share": {name: share for name, (share, _) in shares.items()},
        "pairs": {name: pairs for name, (_, pairs) in shares.items()},
        "dropped": {path.parent.name: read_json(path) for path in _of_pools(run, "dropped.json")},
        "costs": costs(run),
        "data": _data(run),
        "thesis": THESIS,
        "missing": _missing(run, cells, chosen, images),
        "versions": versions(),
    }
    path = run / RESULTS
    write_json(path, content)
    return path


def read_results(path: Path) -> Results:
    """Read a ``results.json``.

    Raises
    ------
    StudyError
        When a cell in it is damaged.
    ModelError
        When the file cannot be read.
    """
    content = read_json(path)
    cells = tuple(
        parse_cell(record, f"cell {index} of {path}")
        for index, record in enumerate(content.get("cells", []))
    )
    return Results(cells, content)


def class_shares(run: Path) -> dict[str, tuple[float, int]]:
    """Share of labelled pixels in the pairs of each pool, and in the real training patches.

    Returns
    -------
    dict of str to (float, int)
        Of "real" and each recipe: the share (0 to 1), and of how many pairs. The real ones are as
        ``data.json`` says, and left out where it says nothing.
    """
    shares: dict[str, tuple[float, int]] = {}
    data = _optional(run / DATA) or {}
    if data.get("class_share") is not None:
        shares[REAL] = (data["class_share"], data.get("patches", 0))
    for pool in sorted(path for path in (run / POOLS).glob("*") if _whole(path)):
        labelled = pixels = pairs = 0
        for path in sorted((pool / LABELS).glob("*.png")):
            with Image.open(path) as picture:
                labels = np.asarray(picture)
            labelled += int(np.count_nonzero((labels % RIM > 0) & (labels != IGNORED)))
            pixels += labels.size
            pairs += 1
        if pairs:
            shares[pool.name] = (labelled / pixels, pairs)
    return shares


def costs(run: Path) -> dict[str, dict[str, Any]]:
    """What each stage cost: the ``cost.json`` files of its folders added up."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(run.rglob(COST)):
        parts = path.relative_to(run).parts[:-1]
        if any(part.endswith(PART) for part in parts):
            continue
        cost = read_json(path)
        nothing = {"seconds": 0.0, "processor_seconds": 0.0, "count": 0, "runs": 0, "device": ""}
        sums = found.setdefault(_stage(parts), nothing)
        for name in ("seconds", "processor_seconds", "count"):
            sums[name] += cost.get(name) or 0
        sums["runs"] += 1
        devices = {*filter(None, sums["device"].split(", ")), str(cost.get("device", "unknown"))}
        sums["device"] = ", ".join(sorted(devices))
    return found


def _stage(parts: Sequence[str]) -> str:
    """All pools are one stage, and so are starts and cells, apart from what is done with each."""
    if parts and parts[0] in (STARTS, CELLS, POOLS):
        return "/".join((parts[0], *parts[2:3]))
    return "/".join(parts[:2])


def _data(run: Path) -> dict[str, Any]:
    """Fields of each split by number, and what ``data.json`` says except where things lie."""
    data = _optional(run / DATA) or {}
    kept: dict[str, Any] = {
        name: data[name] for name in ("attribution", "patches", "mpp") if name in data
    }
    splits = _optional(run / SPLITS) or {}
    return {"splits": {name: len(tiles) for name, tiles in splits.items()}, **kept}


def _missing(
    run: Path,
    cells: Sequence[Cell],
    chosen: dict[str, Any] | None,
    images: Sequence[dict[str, Any]],
) -> list[str]:
    missing = []
    seeds = seeds_of(cells)
    for split in get_args(Split):
        arms = by_arm(cells, split)
        if not arms:
            missing.append(f"{split} scores of every segmenter")
            continue
        if (REAL, 0) not in arms:
            missing.append(f"{split} scores of real tissue alone (0 %)")
        for (recipe, ratio), of in arms.items():
            lacking = sorted(set(seeds) - set(seeds_of(of)))
            if lacking:
                names = ", ".join(map(str, lacking))
                missing.append(f"{split} scores of {recipe} at {ratio} %, seed {names}")
    for folder in sorted(path for path in (run / CELLS).glob("*") if _whole(path)):
        if not any(folder.glob("scores-*.json")):
            missing.append(f"any scores of the segmenter {folder.name}")
    if chosen is None:
        missing.append("a recipe and ratio chosen on validation")
    known = {image.get("variant") for image in images}
    missing += [f"image quality of {name}" for name in VARIANTS if name not in known]
    return missing


def _optional(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _whole(folder: Path) -> bool:
    return folder.is_dir() and folder.suffix != PART


def _of_pools(run: Path, name: str) -> list[Path]:
    return [path for path in sorted((run / POOLS).glob(f"*/{name}")) if _whole(path.parent)]
