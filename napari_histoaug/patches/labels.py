"""The label mask of any rectangle of a grid: annotations, and what was painted for edits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations import AnnotationError, ClassTable, Document
from napari_histoaug.annotations.geometry import areal
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.edits.painting import overlap, within
from napari_histoaug.patches.geometry import Box
from napari_histoaug.patches.grid import Grid

_HALF = 0.5
#: Polygons with more corners than this are cut to the rectangle before they are painted.
_MANY_CORNERS = 1000


class Labels:
    """What the experts said of one slide, ready to be painted block by block.

    Parameters
    ----------
    document : Document or None
        Annotations; None when there are none.
    classes : ClassTable
        Where classes overlap, its priorities decide.
    store : EditStore, optional
        Accepted edits: the mask painted for each is of the class it was painted as, above the
        annotations, which describe the tissue that was there before.
    """

    def __init__(
        self, document: Document | None, classes: ClassTable, store: EditStore | None = None
    ) -> None:
        self.classes = classes
        self._store = store
        self._shapes: list[BaseGeometry] = []
        self._indices: list[int] = []
        for index, shape in _in_paint_order(document, classes):
            self._shapes.append(shape)
            self._indices.append(index)
        self._tree = shapely.STRtree(self._shapes)

    @property
    def empty(self) -> bool:
        """Whether nothing of the table's classes is anywhere."""
        return not self._shapes and not self._edits()

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
        pairs = [(self._shapes[i], self._indices[i] + 1) for i in self._touching(grid, box)]
        out = _burn(pairs, grid, box)
        for record, index in self._edits():
            _paint_nearest(out, grid, box, record.box, self._painted(record), index + 1)
        return out

    def touched(self, grid: Grid, box: Box) -> NDArray[np.bool_]:
        """Tell which pixels of a rectangle each class touches at all.

        Returns
        -------
        bool (classes, height, width)
        """
        out = np.zeros((len(self.classes), *box[2:]), bool)
        near = self._touching(grid, box)
        for index in {self._indices[i] for i in near}:
            pairs = [(self._shapes[i], 1) for i in near if self._indices[i] == index]
            out[index] = _burn(pairs, grid, box, all_touched=True) > 0
        for record, index in self._edits():
            out[index] |= scattered(self._painted(record), record.box, grid, box)
        return out

    def synthetic(self, grid: Grid, box: Box) -> NDArray[np.bool_]:
        """Return bool (height, width): grid pixels with any generated level-0 pixel in them."""
        out = np.zeros(box[2:], bool)
        if self._store is not None:
            for record in self._store.edits:
                if _common(grid, box, record.box):
                    out |= scattered(self._store.synthetic(*record.box), record.box, grid, box)
        return out

    def _edits(self) -> list[tuple[EditRecord, int]]:
        edits = self._store.edits if self._store is not None else []
        found = [(record, self.classes.find(record.label)) for record in edits]
        return [(record, index) for record, index in found if index is not None]

    def _painted(self, record: EditRecord) -> NDArray[np.bool_]:
        assert self._store is not None
        return self._store.painted(record)

    def _touching(self, grid: Grid, box: Box) -> NDArray[np.intp]:
        y, x, height, width = grid.level_0_box(*box)
        return np.sort(self._tree.query(shapely.box(x, y, x + width, y + height)))


def check_classes(document: Document, classes: ClassTable, path: Path | None) -> None:
    """Check that every class of the annotations is in the class table.

    Raises
    ------
    AnnotationError
        Naming those that are not, how many there are, and the nearest of the table.
    """
    missing = {
        name: count
        for name, count in sorted(document.class_counts().items(), key=lambda item: str(item[0]))
        if name is not None and not name.endswith("*") and classes.find(name) is None
    }
    if missing:
        listed = (
            f"{name!r} ({count}; nearest: {classes.nearest(name) or 'none'})"
            for name, count in missing.items()
        )
        where = path.name if path is not None else "The annotations"
        raise AnnotationError(
            f"{where} uses classes that are not in the class table: {', '.join(listed)}; add them "
            "to the table, as an alias or as a class."
        )


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


def _in_paint_order(
    document: Document | None, classes: ClassTable
) -> list[tuple[int, BaseGeometry]]:
    by_class: dict[int, list[BaseGeometry]] = {}
    for feature in document.walk() if document is not None else ():
        name = feature.class_name or feature.name
        index = classes.find(name) if name else None
        if index is not None:
            shape = areal(feature.geometry)
            if not shape.is_empty:
                by_class.setdefault(index, []).append(shape)
    return [(index, shape) for index in classes.paint_order() for shape in by_class.get(index, ())]


def _burn(
    pairs: list[tuple[BaseGeometry, int]], grid: Grid, box: Box, all_touched: bool = False
) -> NDArray[np.uint8]:
    from affine import Affine
    from rasterio.features import rasterize

    y, x, height, width = box
    sy, sx = grid.spacing
    if not pairs or not height or not width:
        return np.zeros((height, width), np.uint8)
    window = (
        (x - 2) * sx, (y - 2) * sy, (x + width + 2) * sx, (y + height + 2) * sy,
    )  # fmt: skip
    cut = [(_cut(shape, window), value) for shape, value in pairs]
    shapes = [(shape, value) for shape, value in cut if not shape.is_empty]
    if not shapes:
        return np.zeros((height, width), np.uint8)
    to_slide = Affine(sx, 0.0, x * sx, 0.0, sy, y * sy)
    mask = rasterize(
        shapes, out_shape=(height, width), transform=to_slide, fill=0, dtype="uint8",
        all_touched=all_touched,
    )  # fmt: skip
    return np.asarray(mask)


def _cut(shape: BaseGeometry, window: tuple[float, float, float, float]) -> BaseGeometry:
    """Cut a long outline to a window; only a valid one, where cutting is exact."""
    if shapely.get_num_coordinates(shape) < _MANY_CORNERS or not shape.is_valid:
        return shape
    return areal(shapely.clip_by_rect(shape, *window))


def _common(grid: Grid, box: Box, level_0: Box) -> bool:
    return overlap(grid.level_0_box(*box), level_0) is not None


def _paint_nearest(
    out: NDArray[np.uint8],
    grid: Grid,
    box: Box,
    level_0: Box,
    painted: NDArray[np.bool_],
    value: int,
) -> None:
    """Give a value to the grid pixels whose centre lies in a level-0 mask."""
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
    found = painted[np.ix_(*(np.clip(at[a], 0, level_0[a + 2] - 1) for a in (0, 1)))]
    out[within(common, box)][found & np.logical_and.outer(*inside)] = value
