"""Whole patches: what the autoencoder keeps of real ones, and synthetic ones beside real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.evaluation.fills import filled
from napari_histoaug.evaluation.held_out import HeldOutHole
from napari_histoaug.evaluation.scores import kernel_interval
from napari_histoaug.generation import Generator, synthesize
from napari_histoaug.generation.space import decode, encode
from napari_histoaug.metrics import frechet_distance, kernel_distance
from napari_histoaug.metrics.extractors import Extractor

Image = npt.NDArray[np.uint8]
Say = Callable[[str], None]


def judge_reconstruction(
    generator: Generator, items: Sequence[HeldOutHole], extractor: Extractor
) -> dict[str, float]:
    """Encode and decode held-out windows: PSNR in dB, SSIM, kernel and Fréchet distance."""
    from skimage.metrics import structural_similarity

    again = [decode(generator, encode(generator, item.image)) for item in items]
    errors, likeness = [], []
    for item, image in zip(items, again, strict=True):
        errors.append(np.square(item.image.astype(float) - image).mean())
        likeness.append(structural_similarity(item.image, image, channel_axis=2))
    real, made = (extractor(np.stack(part)) for part in ([i.image for i in items], again))
    return {
        "psnr": float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-9)))),
        "ssim": float(np.mean(likeness)),
        "kid": kernel_distance(real, made),
        "frechet": frechet_distance(real, made),
    }


def judge_synthesis(
    generator: Generator,
    items: Sequence[HeldOutHole],
    extractor: Extractor,
    folder: Path,
    say: Say,
) -> dict[str, Any]:
    """Synthesise a patch from each held-out window's label map, and compare with the windows.

    Fréchet distances of so few pictures are biased upwards; beside it stands that of one half of
    the real windows against the other.
    """

    def fill(item: HeldOutHole, seed: int) -> Image:
        value = generator.value_of("blood_vessel")
        return synthesize(generator, item.vessel.astype(np.uint8) * value, seed=seed).image

    made = filled(items, fill, folder, say=say)
    real_features = extractor(np.stack([item.image for item in items]))
    features = extractor(np.stack(made))
    return {
        "patches": len(made),
        "kid": asdict(kernel_interval(real_features, features, draws=200, seed=0)),
        "frechet": frechet_distance(real_features, features),
        "frechet_real": frechet_distance(real_features[::2], real_features[1::2]),
    }
