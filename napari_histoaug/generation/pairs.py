"""One generated pair: what a seed and an index stand for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.generation.donor_fit import choose
from napari_histoaug.generation.donors import Donor, read_donors
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.inpainting import InpaintResult, inpaint
from napari_histoaug.generation.placing import TRIES, hole_for, piece_to_remove
from napari_histoaug.generation.synthesis import synthesize
from napari_histoaug.learning.tissue import RIM, find_fields, read_field, turn
from napari_histoaug.models.checkpoints import sha256_of

SURROUNDINGS = "background"

Pixels = npt.NDArray[np.uint8]
Rng = np.random.Generator


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
    kinds = {"synthetic": _synthetic, "inpainted": _inpainted, "removed": _removed}
    return kinds[config.kind](config, generator, rng, seed)


def _synthetic(config: DatasetConfig, generator: Generator, rng: Rng, seed: int) -> Pair:
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


def _inpainted(config: DatasetConfig, generator: Generator, rng: Rng, seed: int) -> Pair:
    for _ in range(TRIES):
        image, labels, origin = _cut(config, rng)
        hole = hole_for(config, generator.mpp, rng, image, labels)
        if hole is not None:
            break
    else:
        raise GenerationError(
            f"No place without a vessel was found in {config.source.tiles}; use a smaller radius."
        )
    made: list[InpaintResult] = []
    while hole is not None:
        donor = _donor(config, rng, hole, image)
        one = inpaint(
            generator, image, hole, config.label, config.source.mpp, config.method, config.steps,
            seed + len(made), donor=donor, strength=config.strength,
        )  # fmt: skip
        image, labels = one.image, labels.copy()
        labels[one.changed & ~hole] |= RIM
        labels[hole] = generator.value_of(config.label)
        made.append(one)
        hole = _next(config, generator, rng, image, labels, len(made))
    return Pair(image, labels, {**origin, **_record(config, made, seed, config.label)})


def _next(
    config: DatasetConfig,
    generator: Generator,
    rng: Rng,
    image: Pixels,
    labels: Pixels,
    so_far: int,
) -> npt.NDArray[np.bool_] | None:
    """The next hole of a pair whose classes are not in balance yet."""
    placing = config.placing
    share = float((labels % RIM == generator.value_of(config.label)).mean())
    if so_far >= placing.most or (placing.target_share or 1.0) <= share:
        return None
    return hole_for(config, generator.mpp, rng, image, labels)


def _removed(config: DatasetConfig, generator: Generator, rng: Rng, seed: int) -> Pair:
    """A real vessel replaced by what surrounds it: where none is, all the same tissue around."""
    for _ in range(4 * TRIES):
        image, labels, origin = _cut(config, rng)
        hole = piece_to_remove(rng, labels, generator.value_of(config.label))
        if hole is not None:
            break
    else:
        raise GenerationError(
            f"No whole {config.label} that fits into {config.size} px was found in "
            f"{config.source.tiles}; name source.labels, or cases that have some."
        )
    made = inpaint(
        generator, image, hole, SURROUNDINGS, config.source.mpp, config.method, config.steps, seed
    )
    labels = labels.copy()
    labels[hole] = 0
    labels[made.changed & ~hole] |= RIM
    record = _record(config, [made], seed, SURROUNDINGS)
    return Pair(made.image, labels, {**origin, **record})


def _record(
    config: DatasetConfig, made: list[InpaintResult], seed: int, label: str
) -> dict[str, Any]:
    changed = np.logical_or.reduce([one.changed for one in made])
    record = {
        "method": made[0].method,
        "steps": made[0].steps,
        "evaluations": sum(one.evaluations for one in made),
        "seed": seed,
        "label": label,
        "made_share": round(float(changed.mean()), 6),
    }
    if config.kind == "inpainted":
        record["vessels"] = len(made)
    if config.donors is not None:
        record["donors"] = " ".join(str(one.donor) for one in made)
        record["strength"] = config.strength
    return record


def _donor(
    config: DatasetConfig, rng: Rng, hole: npt.NDArray[np.bool_], image: Pixels
) -> Donor | None:
    """One of the donors that suit the hole."""
    if config.donors is None:
        return None
    seed = int(rng.integers(2**31))
    return choose(read_donors(config.donors), seed, hole, config.source.mpp, image)


@lru_cache(maxsize=64)
def _field(path: Path, labels: Path | None) -> tuple[Pixels, Pixels, str]:
    return (*read_field(path, labels), sha256_of([path]))


@lru_cache(maxsize=4)
def _fields(tiles: Path, cases: tuple[str, ...]) -> list[Path]:
    return find_fields(tiles, cases)


def _cut(config: DatasetConfig, rng: Rng) -> tuple[Pixels, Pixels, dict[str, Any]]:
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
