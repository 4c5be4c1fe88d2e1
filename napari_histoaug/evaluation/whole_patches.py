"""Whole patches: what the autoencoder keeps of real ones, and synthetic ones beside real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.evaluation.fills import filled
from napari_histoaug.evaluation.held_out import WINDOW, HeldOutHole, read_field
from napari_histoaug.evaluation.scores import Compare, kernel_interval, quartiles
from napari_histoaug.generation import Generator, synthesize
from napari_histoaug.generation.space import decode, encode
from napari_histoaug.metrics import frechet_distance, kernel_distance
from napari_histoaug.metrics.extractors import Extractor

Image = npt.NDArray[np.uint8]
Say = Callable[[str], None]

SIDE = WINDOW  # px
MOST = 256  # patches that are encoded and decoded


def patches_of(tiles: Path, fields: Sequence[str], most: int = MOST) -> list[Image]:
    """Cut fields into patches (SIDE, SIDE, 3) side by side, `most` of them spread over all."""
    patches = []
    for stem in fields:
        field = read_field(tiles, stem)
        rows, columns = (range(0, n - SIDE + 1, SIDE) for n in field.shape[:2])
        patches += [field[y : y + SIDE, x : x + SIDE] for y in rows for x in columns]
    return patches[:: -(-len(patches) // most)]


def judge_reconstruction(
    generator: Generator, images: Sequence[Image], extractor: Extractor
) -> dict[str, float]:
    """Encode and decode patches (H, W, 3): PSNR in dB, SSIM, kernel and Fréchet distance (rFID).

    A Fréchet distance of few pictures is biased upwards; beside it stands that of one half of the
    real patches against the other, which is biased twice as much.
    """
    from skimage.metrics import structural_similarity

    again = [decode(generator, encode(generator, image)) for image in images]
    errors, likeness = [], []
    for image, made in zip(images, again, strict=True):
        errors.append(np.square(image.astype(float) - made).mean())
        likeness.append(structural_similarity(image, made, channel_axis=2))
    real, features = (extractor(np.stack(part)) for part in (images, again))
    return {
        "patches": len(images),
        "psnr": float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-9)))),
        "ssim": float(np.mean(likeness)),
        "kid": kernel_distance(real, features),
        "frechet": frechet_distance(real, features),
        "frechet_real": frechet_distance(real[::2], real[1::2]),
    }


def judge_synthesis(
    generator: Generator,
    items: Sequence[HeldOutHole],
    extractor: Extractor,
    folder: Path,
    say: Say,
    lpips: Compare | None = None,
) -> dict[str, Any]:
    """Synthesise a patch from each held-out window's label map, and compare with the windows.

    Fréchet distances of so few pictures are biased upwards; beside it stands that of one half of
    the real windows against the other.
    """

    def fill(item: HeldOutHole, seed: int) -> Image:
        value = generator.value_of("blood_vessel")
        return synthesize(generator, item.vessel.astype(np.uint8) * value, seed=seed).image

    made = filled(items, fill, folder, say=say)
    real, whole = np.stack([item.image for item in items]), np.stack(made)
    real_features, features = extractor(real), extractor(whole)
    return {
        "patches": len(made),
        "kid": asdict(kernel_interval(real_features, features, draws=200, seed=0)),
        "frechet": frechet_distance(real_features, features),
        "frechet_real": frechet_distance(real_features[::2], real_features[1::2]),
        "lpips": None if lpips is None else asdict(quartiles(lpips(real, whole))),
    }
