"""Does a filled hole look as sharp as its surroundings, and does its border show?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.metrics.errors import MetricError

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
_T = TypeVar("_T", bound=np.generic)

RING = 32  # px around a hole that it is compared with
BAND = 8  # px on either side of a border whose mean colours are compared
FEWEST = 64  # pixels below which no figure is given


def optical_density(image: Image) -> Float:
    """Optical density, natural logarithm, float32 (H, W, 3) of RGB; 0 for white."""
    table = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
    return table[image]


def sharpness_ratio(image: Image, hole: Bool, ring: int = RING) -> float | None:
    """Energy of fine structure in the hole, relative to the ring around it.

    Variance of the Laplacian of each optical-density channel, averaged over the channels. Tissue
    against tissue lies between about 0.7 and 1.4.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    hole : bool, (H, W)
    ring : int
        Width of the ring, pixels.

    Returns
    -------
    float or None
        None where hole or ring are too small to say.
    """
    hole = _checked(image, hole)
    fine = np.stack(
        [ndimage.laplace(channel) for channel in np.moveaxis(optical_density(image), 2, 0)], 2
    )
    # The Laplacian at the border sees both sides.
    inside = ndimage.binary_erosion(hole, iterations=2)
    distance = ndimage.distance_transform_edt(~hole)
    outside = (distance > 2) & (distance <= ring)
    if min(inside.sum(), outside.sum()) < FEWEST:
        return None
    return float(fine[inside].var(0).mean() / max(fine[outside].var(0).mean(), 1e-12))


@dataclass(frozen=True)
class Seam:
    """How much a border shows.

    Attributes
    ----------
    edge : float
        Mean step of optical density between neighbouring pixels across the border, relative to
        that between neighbouring pixels in the same tissue on both sides. 1 = no visible border.
    colour : float
        Largest difference, over the channels, of the mean optical densities of the bands on both
        sides.
    """

    edge: float
    colour: float


def seam_score(image: Image, hole: Bool, band: int = BAND) -> Seam | None:
    """Measure the border of a hole.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    hole : bool, (H, W)
        Its border is what is measured; for a result that is what was changed.
    band : int
        Width in pixels of the bands on both sides that the border is compared with.

    Returns
    -------
    Seam or None
        None where there is too little border or too little around it.
    """
    hole = _checked(image, hole)
    density = optical_density(image)
    inner = ndimage.distance_transform_edt(hole)
    outer = ndimage.distance_transform_edt(~hole)
    near = (np.maximum(inner, outer) <= band) & (np.maximum(inner, outer) > 0)
    across, along = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(density, axis=axis)).mean(2)
        first, second = _pairs(hole, axis)
        both = np.logical_and(*_pairs(near, axis))
        across.append(steps[(first != second) & both])
        along.append(steps[(first == second) & both])
    border, tissue = np.concatenate(across), np.concatenate(along)
    if min(len(border), len(tissue)) < FEWEST:
        return None
    step = density[hole & near].mean(0) - density[~hole & near].mean(0)
    return Seam(float(border.mean() / max(tissue.mean(), 1e-6)), float(np.abs(step).max()))


def seam_map(image: Image, hole: Bool, band: int = BAND) -> Float:
    """How much every pixel of a border shows.

    Parameters
    ----------
    image, hole, band
        As for :func:`seam_score`.

    Returns
    -------
    float32, (H, W)
        At pixels on both sides of the border the largest step of optical density across it,
        relative to the mean step in the same tissue within `band`; 0 elsewhere. The border of good
        tissue shows values around 1.
    """
    hole = _checked(image, hole)
    density = optical_density(image)
    near = ndimage.distance_transform_edt(hole) + ndimage.distance_transform_edt(~hole) <= band
    shown, inside = np.zeros(hole.shape, np.float32), []
    for axis in (0, 1):
        steps = np.abs(np.diff(density, axis=axis)).mean(2)
        first, second = _pairs(hole, axis)
        inside.append(steps[(first == second) & np.logical_and(*_pairs(near, axis))])
        across = np.where(first != second, steps, 0)
        for side in _pairs(shown, axis):
            np.maximum(side, across, out=side)
    tissue = np.concatenate(inside)
    return shown / np.float32(max(tissue.mean() if tissue.size else 0.0, 1e-6))


def _pairs(mask: npt.NDArray[_T], axis: int) -> tuple[npt.NDArray[_T], npt.NDArray[_T]]:
    """A mask's pixels and their next neighbours along an axis."""
    return (mask[:-1], mask[1:]) if axis == 0 else (mask[:, :-1], mask[:, 1:])


def _checked(image: Image, hole: Bool) -> Bool:
    hole = np.asarray(hole, bool)
    if image.ndim != 3 or image.shape[:2] != hole.shape:
        raise MetricError(f"The image is {image.shape}, the hole {hole.shape}; they must agree.")
    return hole
