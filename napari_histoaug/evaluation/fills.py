"""Filling every held-out hole in every way, each result kept as it is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from napari_histoaug.evaluation.held_out import HeldOutHole
from napari_histoaug.evaluation.plain_answers import Fill
from napari_histoaug.generation import Generator, inpaint
from napari_histoaug.generation.donor_fit import choose
from napari_histoaug.generation.donors import STRENGTH, Donor

Image = npt.NDArray[np.uint8]
Say = Callable[[str], None]


def inpaint_with(generator: Generator, **options: object) -> Fill:
    """Return a fill by the generator; `options` go to :func:`~napari_histoaug.generation.inpaint`.

    Windows are taken to be at the generator's pixel size.
    """

    def fill(item: HeldOutHole, seed: int) -> Image:
        return inpaint(generator, item.image, item.hole, seed=seed, **options).image  # type: ignore[arg-type]

    return fill


def inpaint_from(
    donors: Sequence[Donor], generator: Generator, method: str, strength: float = STRENGTH
) -> Fill:
    """Return a fill by the generator that starts from one of `donors`; the seed chooses it."""

    def fill(item: HeldOutHole, seed: int) -> Image:
        donor = choose(donors, seed, item.hole, generator.mpp, item.image)
        return inpaint(
            generator,
            item.image,
            item.hole,
            method=method,
            seed=seed,
            donor=donor,
            strength=strength,
        ).image

    return fill


def filled(
    items: Sequence[HeldOutHole], fill: Fill, folder: Path, *, seed: int = 0, say: Say = print
) -> list[Image]:
    """Fill every hole, or read what an earlier run made.

    Parameters
    ----------
    items : sequence of HeldOutHole
    fill : callable
    folder : Path
        One PNG a hole, written under a temporary name and renamed.
    seed : int
        Hole i is filled with the seed ``1000 * seed + i``.
    say : callable
        Told now and then how far it is.

    Returns
    -------
    list of uint8 (H, W, 3)
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for index, item in enumerate(items):
        path = folder / f"{index:04d}.png"
        if not path.exists():
            _save(path, fill(item, 1000 * seed + index))
            if index % 10 == 9 or index == len(items) - 1:
                say(f"{folder.name}: {index + 1}/{len(items)}")
        images.append(np.asarray(Pillow.open(path).convert("RGB")))
    return images


def filled_by_all(
    items: Sequence[HeldOutHole],
    fills: Mapping[str, Fill],
    folder: Path,
    limits: Mapping[str, int],
    say: Say = print,
) -> dict[str, list[Image]]:
    """Fill every hole in every way; `limits` says for the slow ones how many holes are enough."""
    return {
        name: filled(items[: limits.get(name, len(items))], fill, folder / name, say=say)
        for name, fill in fills.items()
    }


def _save(path: Path, image: Image) -> None:
    temporary = path.with_name(f"{path.name}.part")
    Pillow.fromarray(image).save(temporary, format="PNG")
    os.replace(temporary, path)
