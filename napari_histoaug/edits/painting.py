"""Edits as seen at any resolution."""

from __future__ import annotations

import numpy as np

from napari_histoaug.slides.resampling import area_mean, grid_span

Box = tuple[int, int, int, int]


def overlap(a: Box, b: Box) -> Box | None:
    """Return the common part of two boxes (y, x, height, width), None when there is none."""
    y0, x0 = max(a[0], b[0]), max(a[1], b[1])
    y1, x1 = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    return (y0, x0, y1 - y0, x1 - x0) if y0 < y1 and x0 < x1 else None


def within(box: Box, outer: Box) -> tuple[slice, slice]:
    """Return the slices that cut `box` out of an array whose pixels are `outer`."""
    y, x = box[0] - outer[0], box[1] - outer[1]
    return slice(y, y + box[2]), slice(x, x + box[3])


def box_at(box: Box, downsample: tuple[float, float]) -> Box:
    """Return the pixels of a coarser level that a level-0 box touches."""
    y, height = grid_span(box[0], box[2], downsample[0])
    x, width = grid_span(box[1], box[3], downsample[1])
    return y, x, height, width


def coarsen(crop: np.ndarray, box: Box, downsample: tuple[float, float]) -> np.ndarray:
    """Average an edit over the whole pixels of a coarser level.

    Done once for the whole edit on the level's own grid, so that it does not depend on which
    block somebody reads.

    Parameters
    ----------
    crop : uint8 (H, W, 4)
        Red, green, blue, and 1 where generated.
    box : (y, x, height, width)
        The crop's level-0 pixels.
    downsample : (dy, dx)
        Of the level.

    Returns
    -------
    float32 (h, w, 4)
        Over the pixels of :func:`box_at`: the generated pixels' contribution to each mean
        colour, and the share of the pixel they cover.
    """
    weighted = crop.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:]
    return area_mean(weighted, box[:2], downsample, box_at(box, downsample))


def copy_onto(block: np.ndarray, crop: np.ndarray) -> None:
    """Copy the generated pixels of a crop (uint8 (H, W, 4)) into a block of the same size."""
    generated = crop[..., 3] != 0
    block[generated] = crop[generated, :3]


def blend_onto(block: np.ndarray, coarse: np.ndarray) -> None:
    """Blend a coarsened crop into a block of the same size; uncovered pixels keep their bytes."""
    covered = coarse[..., 3] > 0
    share = np.minimum(coarse[covered, 3:], 1)
    mixed = block[covered] * (1 - share) + coarse[covered, :3]
    block[covered] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
