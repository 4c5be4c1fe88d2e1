"""Area means on a grid whose spacing need not be a whole number."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse


def grid_span(start: int, length: int, spacing: float) -> tuple[int, int]:
    """Return (first, count) of the grid pixels that an interval touches.

    Grid pixel i covers ``[i * spacing, (i + 1) * spacing)``.

    Parameters
    ----------
    start, length : int
        An interval in fine pixels.
    spacing : float
        Fine pixels a grid pixel.
    """
    first = math.floor(start / spacing)
    return first, max(math.ceil((start + length) / spacing), first + 1) - first


def area_mean(
    image: np.ndarray,
    origin: tuple[int, int],
    spacing: tuple[float, float],
    target: tuple[int, int, int, int],
) -> np.ndarray:
    """Average a rectangle of pixels over the pixels of a coarser grid.

    Grid pixel (i, j) covers ``[i * dy, (i + 1) * dy) x [j * dx, (j + 1) * dx)`` in fine pixels;
    its mean is taken over that whole area, with zeros outside `image`.

    Parameters
    ----------
    image : (H, W, C)
        Fine pixels, any numeric dtype.
    origin : (y, x)
        Position of ``image[0, 0]`` in fine pixels.
    spacing : (dy, dx)
        Fine pixels a grid pixel.
    target : (y, x, height, width)
        The wanted grid pixels.

    Returns
    -------
    float32 (height, width, C)
    """
    y, x, height, width = target
    down = _weights(origin[0], image.shape[0], spacing[0], y, height)
    across = _weights(origin[1], image.shape[1], spacing[1], x, width)
    fine = np.ascontiguousarray(image, dtype=np.float32)
    channels = fine.shape[2]
    rows = (down @ fine.reshape(fine.shape[0], -1)).reshape(height, -1, channels)
    turned = np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(rows.shape[1], -1)
    return (across @ turned).reshape(width, height, channels).transpose(1, 0, 2)


def _weights(start: int, length: int, spacing: float, first: int, count: int) -> sparse.csr_array:
    """Return the (count, length) share of each grid pixel that each fine pixel covers."""
    edges = (first + np.arange(count + 1, dtype=np.float64)) * spacing - start
    low, high = edges[:-1], edges[1:]
    widest = math.ceil(spacing) + 1
    columns = np.floor(low).astype(np.int64)[:, None] + np.arange(widest)
    shares = np.minimum(high[:, None], columns + 1) - np.maximum(low[:, None], columns)
    # Rounding of the edges leaves slivers of 1e-12 of a neighbour that is not really touched.
    good = (shares > 1e-9) & (columns >= 0) & (columns < length)
    rows = np.broadcast_to(np.arange(count)[:, None], columns.shape)
    values = (shares[good] / spacing).astype(np.float32)
    return sparse.csr_array((values, (rows[good], columns[good])), shape=(count, length))
