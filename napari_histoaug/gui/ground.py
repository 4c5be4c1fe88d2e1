"""Tissue or glass: strokes keep to the tissue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_histoaug.gui.geometry import Box, Pair, Window
from napari_histoaug.gui.pixels import read_grid

if TYPE_CHECKING:
    from napari_histoaug.gui.canvas import PaintCanvas
    from napari_histoaug.gui.session import SlideSession

CELL, MARGIN = 8.0, 600.0
"""Side of a cell, and how far around a place is looked at, in micrometres: a lumen or fat lobule
that is wholly in sight counts as tissue."""
_MOST_CELLS = 512
_USUAL_MPP = 0.5


@dataclass(frozen=True)
class Ground:
    """The tissue around a place.

    Attributes
    ----------
    tissue : bool (rows, columns)
    corner : (y, x)
        First cell, in cells from the slide's corner.
    step : int
        Side of a cell in level-0 pixels.
    """

    tissue: np.ndarray
    corner: tuple[int, int]
    step: int

    def under(self, window: Window, region: tuple[slice, slice]) -> np.ndarray:
        """Return bool, as large as a region of a window: True on tissue."""
        cells = []
        for axis in (0, 1):
            at = np.arange(region[axis].start, region[axis].stop) + window.box[axis] + 0.5
            index = np.floor(at * window.step / self.step).astype(int) - self.corner[axis]
            cells.append(np.clip(index, 0, self.tissue.shape[axis] - 1))
        return np.asarray(self.tissue[np.ix_(*cells)])

    def nearest(self, centre: Pair, radius: float) -> Pair | None:
        """Return the place nearest to one where a disc lies on tissue, level-0 pixels; or None.

        The place itself when the disc lies on tissue there.
        """
        room = ndimage.distance_transform_edt(np.pad(self.tissue, 1))[1:-1, 1:-1]
        # from the middles of cells; the place and the glass may be nearer by half a diagonal each
        fits = (room - 1.5) * self.step >= radius
        here = [int(at // self.step) - low for at, low in zip(centre, self.corner, strict=True)]
        inside = all(0 <= at < side for at, side in zip(here, fits.shape, strict=True))
        if inside and fits[here[0], here[1]]:
            return centre
        rows, columns = np.nonzero(fits)
        if not rows.size:
            return None
        y = (rows + self.corner[0] + 0.5) * self.step
        x = (columns + self.corner[1] + 0.5) * self.step
        best = int(np.argmin(np.hypot(y - centre[0], x - centre[1])))
        return float(y[best]), float(x[best])


def leave_glass_out(ground: Ground, canvas: PaintCanvas) -> bool:
    """Take back what was just painted on the glass; return whether there was any."""
    painted = canvas.unsaved() & (np.asarray(canvas.layer.data) != 0)
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return False
    region = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    off = painted[region] & ~ground.under(canvas.window, region)
    if off.any():
        canvas.revert(region, off)
    return bool(off.any())


def ground_around(session: SlideSession, box: Box) -> Ground:
    """Tell tissue from glass around a level-0 box, at cells of about 8 micrometres."""
    from napari_histoaug.patches.settings import TissueSettings
    from napari_histoaug.patches.tissue import tissue_mask

    mpp = max(session.slide.mpp or (_USUAL_MPP, _USUAL_MPP))
    margin = MARGIN / mpp
    longest = max(box[2:]) + 2 * margin
    step = max(1, round(CELL / mpp), math.ceil(longest / _MOST_CELLS))
    low = [math.floor((box[axis] - margin) / step) for axis in (0, 1)]
    high = [math.ceil((box[axis] + box[axis + 2] + margin) / step) for axis in (0, 1)]
    # cells outside the slide are no use
    low = [max(at, 0) for at in low]
    high = [min(at, math.ceil(side / step)) for at, side in zip(high, session.shape, strict=True)]
    cells = (low[0], low[1], high[0] - low[0], high[1] - low[1])
    image, valid = read_grid(session, step, cells)
    tissue = tissue_mask(image, valid, TissueSettings(), step * mpp)
    # a stroke along the border of the tissue shall not be frayed by the cells
    grown = ndimage.binary_dilation(tissue, np.ones((3, 3)))
    return Ground(np.asarray(grown), (low[0], low[1]), step)
