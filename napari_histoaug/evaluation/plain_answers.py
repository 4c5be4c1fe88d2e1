"""What a user could do without a generator: four plain ways to fill a hole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.evaluation.held_out import HeldOutHole

Image = npt.NDArray[np.uint8]
Fill = Callable[[HeldOutHole, int], Image]
"""A held-out hole and a seed to the filled window, uint8 (H, W, 3)."""

RADIUS = 5  # px; neighbourhood of OpenCV's methods, as in its examples


def telea(item: HeldOutHole, seed: int) -> Image:
    """Fast marching (Telea 2004), OpenCV."""
    cv2 = _cv2()
    return np.asarray(cv2.inpaint(item.image, _mask(item), RADIUS, cv2.INPAINT_TELEA))


def navier_stokes(item: HeldOutHole, seed: int) -> Image:
    """Fluid dynamics (Bertalmio et al. 2001), OpenCV."""
    cv2 = _cv2()
    return np.asarray(cv2.inpaint(item.image, _mask(item), RADIUS, cv2.INPAINT_NS))


def biharmonic(item: HeldOutHole, seed: int) -> Image:
    """Biharmonic equation (Damelin and Hoang 2018), scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(item.image, item.hole, channel_axis=2)
    out = item.image.copy()
    out[item.hole] = np.rint(filled[item.hole] * 255).clip(0, 255).astype(np.uint8)
    return out


def pasted_donor(donors: list[HeldOutHole]) -> Fill:
    """A real vessel of other cases, pasted by Poisson blending (Perez et al. 2003), OpenCV.

    Parameters
    ----------
    donors : list of HeldOutHole
        Vessels of training cases; the seed chooses among the twenty of most similar size.
    """
    sizes = np.array([donor.hole.sum() for donor in donors])

    def fill(item: HeldOutHole, seed: int) -> Image:
        near = np.argsort(np.abs(np.log(sizes / item.hole.sum())))[:20]
        donor = donors[int(np.random.default_rng(seed).choice(near))]
        return _paste(item, donor)

    return fill


def _paste(item: HeldOutHole, donor: HeldOutHole) -> Image:
    """Scale a donor's bounding box to the hole's and clone it in."""
    cv2 = _cv2()
    (y, x, height, width), (dy, dx, dh, dw) = _box(item.hole), _box(donor.hole)
    source = cv2.resize(donor.image[dy : dy + dh, dx : dx + dw], (width, height))
    mask = _mask(item)[y : y + height, x : x + width]
    # OpenCV centres the mask's bounding box there; the mask fills the whole box.
    centre = (x + width // 2, y + height // 2)
    cloned = cv2.seamlessClone(source, item.image, mask, centre, cv2.NORMAL_CLONE)
    return np.where(item.hole[..., None], cloned, item.image).astype(np.uint8)


def _box(hole: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _mask(item: HeldOutHole) -> Image:
    return np.where(item.hole, 255, 0).astype(np.uint8)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError:
        raise EvaluationError(
            "OpenCV is missing, which the plain answers need: pip install opencv-python-headless."
        ) from None
    return cv2
