"""The slide's pixels on a grid of a painter's choice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.geometry import Box, intersect, slices

if TYPE_CHECKING:
    from napari_histoaug.gui.session import SlideSession


def read_grid(session: SlideSession, step: int, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Read the slide with its edits at ``step`` level-0 pixels a pixel.

    Parameters
    ----------
    session : SlideSession
    step : int
    box : (y, x, height, width)
        In pixels of that grid; may lie partly outside the slide.

    Returns
    -------
    image : uint8 (height, width, 3)
        White outside the slide.
    valid : bool (height, width)
        False outside the slide.
    """
    image = np.full((*box[2:], 3), 255, np.uint8)
    valid = np.zeros(box[2:], bool)
    height, width = (math.ceil(side / step) for side in session.shape)
    inside = intersect(box, (0, 0, height, width))
    if inside is not None:
        here = slices(inside, box)
        image[here] = _averaged(session, step, inside)
        valid[here] = True
    return image, valid


def _averaged(session: SlideSession, step: int, box: Box) -> np.ndarray:
    """Average the coarsest level that is fine enough."""
    from napari_histoaug.slides.resampling import area_mean

    level = max(i for i, (dy, dx) in enumerate(session.downsamples) if max(dy, dx) <= step + 0.5)
    array = session.pyramid.arrays[level]
    spacing = (step / session.downsamples[level][0], step / session.downsamples[level][1])
    top, left = (math.floor(box[axis] * spacing[axis]) for axis in (0, 1))
    bottom, right = (
        min(math.ceil((box[axis] + box[axis + 2]) * spacing[axis]), array.shape[axis])
        for axis in (0, 1)
    )
    block = np.asarray(array[top:bottom, left:right])
    if spacing == (1.0, 1.0):
        return block
    # of pixels that the edge of the slide cuts only a part is averaged
    weighed = np.concatenate([block, np.ones((*block.shape[:2], 1), np.uint8)], axis=2)
    mean = area_mean(weighed, (top, left), spacing, box)
    colours = mean[..., :3] / np.maximum(mean[..., 3:], 1e-6)
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)
