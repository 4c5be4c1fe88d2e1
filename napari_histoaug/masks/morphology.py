"""Growing a hole by an exact Euclidean distance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolMask = NDArray[np.bool_]


def dilate(hole: BoolMask, pixels: float) -> BoolMask:
    """Grow a hole by a disc.

    Parameters
    ----------
    hole : bool (height, width)
    pixels : float
        Radius of the disc in pixels; 0 or less returns a copy.

    Returns
    -------
    bool (height, width)
        True where a pixel centre of ``hole`` is at most ``pixels`` away.
    """
    hole = np.asarray(hole, dtype=bool)
    grown = hole.copy()
    if pixels <= 0 or not hole.any():
        return grown
    window = _window(hole, math.ceil(pixels))
    distance = np.asarray(ndimage.distance_transform_edt(~hole[window]))
    grown[window] = distance <= pixels
    return grown


def ring(hole: BoolMask, width: float) -> BoolMask:
    """Return the dilated hole minus the hole: bool (height, width), ``width`` pixels wide."""
    return dilate(hole, width) & ~np.asarray(hole, dtype=bool)


def _window(hole: BoolMask, margin: int) -> tuple[slice, slice]:
    # The distance transform of a whole canvas for one small vessel would be wasted.
    rows = np.flatnonzero(hole.any(axis=1))
    columns = np.flatnonzero(hole.any(axis=0))
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )
