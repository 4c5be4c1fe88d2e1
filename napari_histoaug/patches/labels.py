"""The label mask of any rectangle of a grid: annotations, and what was painted for edits."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_histoaug.annotations import AnnotationIndex, ClassTable
from napari_histoaug.annotations.geometry import areal
from napari_histoaug.annotations.raster import mask_values
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.edits.painting import overlap, within
from napari_histoaug.patches.geometry import Box
from napari_histoaug.patches.grid import Grid
from napari_histoaug.patches.painted import Said, said_by

_HALF = 0.5
#: Polygons with more corners than this are cut to the rectangle before they are painted.
_MANY_CORNERS = 1000


class Labels:
    """What the experts said of one slide, ready to be painted block by block.

    Parameters
    ----------
    index : AnnotationIndex or None
        Annotations, placed on the slide; None when there are none.
    classes : ClassTable
        Where classes overlap, its priorities decide.
    store : EditStore, optional
        Accepted edits: what each says of its classes lies above the annotations, which describe
        the tissue that was there before; what was removed is 0.

    Raises
    ------
    AnnotationError
        When a class differs from one of the table only by case or spacing.
    """

    def __init__(
        self, index: AnnotationIndex | None, classes: ClassTable, store: EditStore | None = None
    ) -> None:
        self.classes = classes
        self._index, self._store = index, store
        kinds = index.kinds if index is not None else []
        of_kind = mask_values(kinds, classes)
        # The mask value of every feature, and when it is painted.
        self._values = of_kind[index.outlines.kind] if index is not None else of_kind
        self._rank = np.append(0, 1 + np.argsort(classes.paint_order()))

    @property
    def empty(self) -> bool:
        """Whether nothing of the table's classes is anywhere."""
        return not self._values.any() and not self._edits()

    @property
    def edited(self) -> bool:
        """Whether the slide has accepted edits that take part."""
        return self._store is not None and bool(self._store.edits)

    def mask(self, grid: Grid, box: Box) -> NDArray[np.uint8]:
        """Paint the classes of a rectangle by the pixel-centre rule.

        Parameters
        ----------
        grid : Grid
        box : (y, x, height, width)
            In grid pixels.

        Returns
        -------
        uint8 (height, width)
            0 background, else 1 + the index of the class.
        """
        rows = self._near(grid, box)
        rows = rows[np.argsort(self._rank[self._values[rows]], kind="stable")]
        out = self._burned(rows, self._values[rows], grid, box)
        for record in self._edits():
            if _common(grid, box, record.box):
                _paint_nearest(out, grid, box, record.box, self._said(record))
        return out

    def touched(self, grid: Grid, box: Box) -> NDArray[np.bool_]:
        """Tell which pixels of a rectangle each class touches at all.

        Returns
        -------
        bool (classes, height, width)
        """
        out = np.zeros((len(self.classes), *box[2:]), bool)
        rows = self._near(grid, box)
        for value in np.unique(self._values[rows]):
            own = rows[self._values[rows] == value]
            ones = np.ones(len(own), np.int64)
            out[value - 1] = self._burned(own, ones, grid, box, all_touched=True) > 0
        for record in self._edits():
            said = self._said(record)
            for value in np.unique(said.values[said.where]):
                if value:
                    out[value - 1] |= scattered(said.values == value, record.box, grid, box)
        return out

    def synthetic(self, grid: Grid, box: Box) -> NDArray[np.bool_]:
        """Return bool (height, width): grid pixels with any generated level-0 pixel in them."""
        out = np.zeros(box[2:], bool)
        if self._store is not None:
            for record in self._store.edits:
                if _common(grid, box, record.box):
                    out |= scattered(self._store.synthetic(*record.box), record.box, grid, box)
        return out

    def rim(self, grid: Grid, box: Box) -> NDArray[np.bool_]:
        """Return bool (height, width): generated pixels around what was painted for the edits."""
        painted = np.zeros(box[2:], np.uint8)
        for record in self._edits():
            said = self._said(record)
            everywhere = Said(np.ones_like(said.values), said.where)
            _paint_nearest(painted, grid, box, record.box, everywhere)
        return self.synthetic(grid, box) & (painted == 0)

    def _edits(self) -> list[EditRecord]:
        return self._store.edits if self._store is not None else []

    def _said(self, record: EditRecord) -> Said:
        assert self._store is not None
        return said_by(self._store, record, self.classes)

    def _near(self, grid: Grid, box: Box) -> NDArray[np.int64]:
        """Return the features to paint whose bounds touch a box, in file order."""
        if self._index is None:
            return np.zeros(0, np.int64)
        rows = self._index.touching(grid.level_0_box(*box))
        return rows[self._values[rows] > 0]

    def _shapes(
        self, rows: NDArray[np.int64], values: NDArray[np.int64], grid: Grid, box: Box
    ) -> list[tuple[Any, int]]:
        """Return features as what rasterio paints; long ones cut to the box, which is exact."""
        if self._index is None:
            return []
        outlines, frame = self._index.outlines, self._index.frame
        # A pixel more all around, so that the cut is never an outline in the box.
        y, x, height, width = grid.level_0_box(box[0] - 1, box[1] - 1, box[2] + 2, box[3] + 2)
        window = (x - frame.dx, y - frame.dy, x + width - frame.dx, y + height - frame.dy)
        shapes: list[tuple[Any, int]] = []
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            ends = outlines.rings[outlines.parts[outlines.features[row : row + 2]]]
            if ends[1] - ends[0] < _MANY_CORNERS:
                shape = {"type": "MultiPolygon", "coordinates": outlines.coordinates(row)}
                shapes.append((shape, value))
            else:
                cut = areal(shapely.clip_by_rect(outlines.geometry(row), *window))
                if not cut.is_empty:
                    shapes.append((cut, value))
        return shapes

    def _burned(
        self, rows: NDArray[np.int64], values: NDArray[np.int64], grid: Grid, box: Box, **how: bool
    ) -> NDArray[np.uint8]:
        from affine import Affine
        from rasterio.features import rasterize

        y, x, height, width = box
        shapes = self._shapes(rows, values, grid, box) if height and width else []
        if self._index is None or not shapes:
            return np.zeros((height, width), np.uint8)
        (sy, sx), frame = grid.spacing, self._index.frame
        to_file = Affine(sx, 0.0, x * sx - frame.dx, 0.0, sy, y * sy - frame.dy)
        mask = rasterize(
            shapes, out_shape=(height, width), transform=to_file, fill=0, dtype="uint8", **how
        )
        return np.asarray(mask)


def scattered(mask: NDArray[np.bool_], mask_box: Box, grid: Grid, box: Box) -> NDArray[np.bool_]:
    """Mark the grid pixels that hold the centre of a level-0 pixel that is set.

    Parameters
    ----------
    mask : bool (H, W)
        Of the level-0 pixels ``mask_box``, (y, x, H, W).
    grid : Grid
    box : (y, x, height, width)
        In grid pixels.

    Returns
    -------
    bool (height, width)
    """
    out = np.zeros(box[2:], bool)
    y, x = np.nonzero(mask)
    rows = ((y + mask_box[0] + _HALF) / grid.spacing[0]).astype(np.int64) - box[0]
    columns = ((x + mask_box[1] + _HALF) / grid.spacing[1]).astype(np.int64) - box[1]
    good = (rows >= 0) & (rows < box[2]) & (columns >= 0) & (columns < box[3])
    out[rows[good], columns[good]] = True
    return out


def _common(grid: Grid, box: Box, level_0: Box) -> bool:
    return overlap(grid.level_0_box(*box), level_0) is not None


def _paint_nearest(
    out: NDArray[np.uint8],
    grid: Grid,
    box: Box,
    level_0: Box,
    said: Said,
) -> None:
    """Give its value to every grid pixel whose centre lies where an edit says one."""
    first = [int(np.floor(level_0[a] / grid.spacing[a])) for a in (0, 1)]
    last = [int(np.ceil((level_0[a] + level_0[a + 2]) / grid.spacing[a])) for a in (0, 1)]
    place = (first[0], first[1], last[0] - first[0], last[1] - first[1])
    common = overlap(place, box)
    if common is None:
        return
    at = [
        ((common[a] + np.arange(common[a + 2]) + _HALF) * grid.spacing[a]).astype(np.int64)
        - level_0[a]
        for a in (0, 1)
    ]
    inside = [(at[a] >= 0) & (at[a] < level_0[a + 2]) for a in (0, 1)]
    nearest = np.ix_(*(np.clip(at[a], 0, level_0[a + 2] - 1) for a in (0, 1)))
    hit = said.where[nearest] & np.logical_and.outer(*inside)
    out[within(common, box)][hit] = said.values[nearest][hit]
