"""Many generated pairs: each a pure function of (seed, index), so any process can make any of them.

Pairs are files ``tiles/synthetic_x<index>_y0.png`` and ``labels/`` of the same name, the form in
which the training scripts read tissue; ``rows/`` holds a record of each, ``manifest.csv`` all.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from napari_histoaug.edits.versions import versions
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.inpainting import inpaint
from napari_histoaug.generation.synthesis import synthesize
from napari_histoaug.learning.config import Section
from napari_histoaug.learning.tissue import RIM, find_fields, read_field, turn
from napari_histoaug.masks import vessel_outline
from napari_histoaug.models.checkpoints import read_json, sha256_of, write_json

TRIES = 30
SETTINGS, MANIFEST = "dataset.json", "manifest.csv"
TILES, LABELS, ROWS = "tiles", "labels", "rows"

Pixels = npt.NDArray[np.uint8]


class SourceConfig(Section):
    """The tissue to start from."""

    tiles: Path = Field(description="folder of fields named <case>_x<X>_y<Y>.jpg")
    labels: Path | None = Field(None, description="folder of label maps, same stems, .png")
    cases: tuple[str, ...] = Field(description="training cases only: never those to test on")
    mpp: float | None = Field(None, gt=0, description="if it differs from the generator's")


class DatasetConfig(Section):
    """``generate_dataset.py``."""

    out: Path
    count: int = Field(ge=1, description="pairs in all")
    kind: Literal["synthetic", "inpainted"] = "inpainted"
    source: SourceConfig
    size: int = Field(256, ge=64, description="side of a pair, pixels")
    label: str = Field("blood_vessel", description="what is painted into a hole")
    radius: tuple[float, float] = Field((12.0, 48.0), description="of the holes, pixels")
    model: str | None = Field(None, description="name or folder; the bundled one if omitted")
    device: str = "auto"
    method: Literal["pixel-time", "repaint", "langevin"] = "pixel-time"
    steps: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    shard: str = Field("1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="part of the work")


@dataclass(frozen=True)
class Pair:
    """An image uint8 (H, W, 3), its labels uint8 (H, W), and how they came about."""

    image: Pixels
    labels: Pixels
    record: dict[str, Any]


def make_pair(config: DatasetConfig, generator: Generator, index: int) -> Pair:
    """Make pair `index`.

    Labels are 0 background, 1 + class index; a rim that was feathered into real tissue also has
    the bit 128.

    Raises
    ------
    GenerationError
        When the tissue has no place for it.
    """
    rng = np.random.default_rng([config.seed, index])
    seed = int(rng.integers(2**31))
    if config.kind == "synthetic":
        return _synthetic(config, generator, rng, seed)
    return _inpainted(config, generator, rng, seed)


def _synthetic(
    config: DatasetConfig, generator: Generator, rng: np.random.Generator, seed: int
) -> Pair:
    for _ in range(TRIES):
        _, labels, origin = _cut(config, rng)
        if labels.any():
            made = synthesize(generator, labels, config.source.mpp, config.steps, seed)
            record = {"method": "synthesis", "steps": made.steps, "evaluations": made.evaluations}
            return Pair(made.image, labels, {**origin, **record, "seed": seed, "made_share": 1.0})
    raise GenerationError(
        f"No labelled tissue was found in {config.source.tiles}; name source.labels, or cases that "
        "have some."
    )


def _inpainted(
    config: DatasetConfig, generator: Generator, rng: np.random.Generator, seed: int
) -> Pair:
    for _ in range(TRIES):
        image, labels, origin = _cut(config, rng)
        radius = rng.uniform(*config.radius)
        margin = min(1.6 * radius, config.size / 2)
        y, x = rng.uniform(margin, config.size - margin, 2)
        hole = vessel_outline(rng, labels.shape, radius, (float(y), float(x)))
        if hole.any() and not labels[hole].any():
            break
    else:
        raise GenerationError(
            f"No place without a vessel was found in {config.source.tiles}; use a smaller radius."
        )
    made = inpaint(
        generator, image, hole, config.label, config.source.mpp, config.method, config.steps, seed
    )
    labels = labels.copy()
    labels[hole] = generator.value_of(config.label)
    labels[made.changed & ~hole] |= RIM
    record = {
        "method": made.method,
        "steps": made.steps,
        "evaluations": made.evaluations,
        "seed": seed,
        "label": config.label,
        "made_share": round(float(made.changed.mean()), 6),
    }
    return Pair(made.image, labels, {**origin, **record})


@lru_cache(maxsize=64)
def _field(path: Path, labels: Path | None) -> tuple[Pixels, Pixels, str]:
    return (*read_field(path, labels), sha256_of([path]))


@lru_cache(maxsize=4)
def _fields(tiles: Path, cases: tuple[str, ...]) -> list[Path]:
    return find_fields(tiles, cases)


def _cut(config: DatasetConfig, rng: np.random.Generator) -> tuple[Pixels, Pixels, dict[str, Any]]:
    """Cut and turn a square of tissue; returns image, labels and where they are from."""
    fields = _fields(config.source.tiles, config.source.cases)
    image, labels, digest = _field(fields[rng.integers(len(fields))], config.source.labels)
    height, width = labels.shape
    if min(height, width) < config.size:
        raise GenerationError(
            f"size={config.size} is larger than a field of {config.source.tiles} "
            f"({height} x {width} px); use a smaller one."
        )
    y, x = (int(rng.integers(n - config.size + 1)) for n in (height, width))
    which = int(rng.integers(8))
    box = np.s_[y : y + config.size, x : x + config.size]
    # Tissue is known by its hash: file names can name patients.
    origin = {"source_sha256": digest, "y": y, "x": x, "turn": which}
    return (
        turn(image[box], which).astype(np.uint8),
        turn(labels[box], which).astype(np.uint8),
        origin,
    )


def generate(
    config: DatasetConfig,
    generator: Generator,
    progress: Callable[[int, int, float], None],
    stop: Callable[[], bool],
) -> bool:
    """Make the pairs of this shard that are not there yet; returns whether it is done.

    Parameters
    ----------
    progress : callable
        Called with (done, total, seconds a pair) after each.
    stop : callable
        Asked before each; True ends.

    Raises
    ------
    GenerationError
        When the folder holds pairs made otherwise, or cannot be written.
    """
    try:
        _claim(config, generator)
        part, parts = (int(n) for n in config.shard.split("/"))
        if part > parts:
            raise GenerationError(
                f"There is no shard {config.shard}; use 1/{parts} to {parts}/{parts}."
            )
        mine = range(part - 1, config.count, parts)
        todo = [i for i in mine if not (config.out / ROWS / f"{stem(i)}.json").exists()]
        started = time.monotonic()
        for done, index in enumerate(todo):
            if stop():
                return False
            _write(config.out, index, make_pair(config, generator, index), generator)
            pace = (time.monotonic() - started) / (done + 1)
            progress(len(mine) - len(todo) + done + 1, len(mine), pace)
        write_manifest(config.out)
    except OSError as error:
        raise GenerationError(
            f"{config.out} cannot be written to ({error.strerror or error}); free some space and "
            "run the same command again, which goes on where it was."
        ) from error
    return True


def stem(index: int) -> str:
    """File name of a pair, without its ending."""
    return f"synthetic_x{index:07d}_y0"


def _claim(config: DatasetConfig, generator: Generator) -> None:
    """Write down what makes this data set, or see that it is what made it before."""
    for name in (TILES, LABELS, ROWS):
        (config.out / name).mkdir(parents=True, exist_ok=True)
    free = {"out", "count", "shard", "device"}
    settings = config.model_dump(mode="json", exclude=free | {"source", "model"})
    maker = {**settings, "model_sha256": generator.sha256}
    path = config.out / SETTINGS
    if not path.exists():
        write_json(path, maker)
    elif read_json(path) != maker:
        raise GenerationError(
            f"{config.out} holds pairs made with other settings or another model; choose another "
            "folder with out=FOLDER."
        )


def _write(out: Path, index: int, pair: Pair, generator: Generator) -> None:
    name = stem(index)
    for folder, array in ((TILES, pair.image), (LABELS, pair.labels)):
        path = out / folder / f"{name}.png"
        temporary = path.with_name(path.name + ".part")
        with temporary.open("wb") as file:
            Image.fromarray(array).save(file, format="PNG")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    row = {
        "index": index,
        "image": f"{TILES}/{name}.png",
        "labels": f"{LABELS}/{name}.png",
        **pair.record,
        "model": generator.name,
        "model_sha256": generator.sha256,
        "versions": " ".join(f"{k}={v}" for k, v in versions().items()),
    }
    # The record comes last: a pair that has one is complete.
    write_json(out / ROWS / f"{name}.json", row)


def write_manifest(out: Path) -> None:
    """Gather the records that are there; whichever shard ends last gathers all."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((out / ROWS).glob("*.json"))]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    temporary = out / f"{MANIFEST}.{os.getpid()}.part"
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, out / MANIFEST)
