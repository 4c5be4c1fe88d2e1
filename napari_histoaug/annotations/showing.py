"""Annotations as a picture: every class of a file a value and a colour, at any scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.annotations.classes import ClassTable
from napari_histoaug.annotations.classification import DEFAULT_COLOR, Color
from napari_histoaug.annotations.index import AnnotationIndex
from napari_histoaug.annotations.raster import Box, burn_rows

UNCLASSIFIED = "unclassified"
_SMALL = 2.0


class ShownClass(NamedTuple):
    """A class as it is shown: name, colour, how many outlines it has."""

    name: str
    color: Color
    outlines: int


class Picture:
    """What a file annotates, painted on demand.

    Smaller outlines are painted over larger ones, whatever their classes, so that all can be seen.
    An outline too small for the scale is one pixel rather than none: this is for the eye; masks to
    count in come from :func:`~napari_histoaug.annotations.rasterize`.

    Parameters
    ----------
    index : AnnotationIndex
    table : ClassTable, optional
        Colours for the classes it knows; others have that of the file.

    Attributes
    ----------
    classes : tuple of ShownClass
        The class at place ``i`` has the value ``i + 1``; the most frequent first.
    hidden : set of str
        Names of classes that are not painted.
    """

    def __init__(self, index: AnnotationIndex, table: ClassTable | None = None) -> None:
        self.index = index
        self.hidden: set[str] = set()
        counts = np.bincount(index.outlines.kind, minlength=len(index.kinds))
        found: dict[str, tuple[Color, int]] = {}
        for (name, _), color, count in zip(index.kinds, index.colors, counts, strict=True):
            shown = name or UNCLASSIFIED
            known = table.find(name) if table and name else None
            if table is not None and known is not None:
                color = table.colors[known]
            old_color, old_count = found.get(shown, (color or DEFAULT_COLOR, 0))
            found[shown] = (old_color, old_count + int(count))
        listed = [ShownClass(name, *rest) for name, rest in found.items() if rest[1]]
        self.classes = tuple(sorted(listed, key=lambda c: (-c.outlines, c.name)))
        self._smallest_last = np.argsort(-index.outlines.area, kind="stable")
        self._rank = np.empty(len(index), np.int64)
        self._rank[self._smallest_last] = np.arange(len(index))

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The smallest type that holds all values."""
        return np.uint8 if len(self.classes) < 256 else np.uint16

    def name_of(self, row: int) -> str:
        """Return the class name of an outline of the index."""
        return self.index.kinds[self.index.outlines.kind[row]][0] or UNCLASSIFIED

    def paint(self, box: Box, downsample: tuple[float, float]) -> NDArray[np.unsignedinteger]:
        """Return the picture of a level-0 box (y, x, height, width)."""
        values = self._values()
        rows = self.index.touching(box)
        rows = rows[values[self.index.outlines.kind[rows]] > 0] if len(rows) else rows
        rows = rows[np.argsort(self._rank[rows])]
        of_row = values[self.index.outlines.kind[rows]]
        x0, y0, x1, y1 = self.index.outlines.bounds[rows].T
        small = (x1 - x0 < _SMALL * downsample[1]) & (y1 - y0 < _SMALL * downsample[0])
        picture = burn_rows(
            self.index, rows[~small], of_row[~small], box, downsample, np.dtype(self.dtype).name
        )
        y = (y0 + y1)[small] / 2 + self.index.frame.dy - box[0]
        x = (x0 + x1)[small] / 2 + self.index.frame.dx - box[1]
        at_y = np.floor(y / downsample[0]).astype(np.int64)
        at_x = np.floor(x / downsample[1]).astype(np.int64)
        height, width = picture.shape
        inside = (at_y >= 0) & (at_x >= 0) & (at_y < height) & (at_x < width)
        picture[at_y[inside], at_x[inside]] = of_row[small][inside]
        return picture

    def at(self, y: float, x: float) -> int | None:
        """Return the outline seen at a level-0 point: the smallest one not hidden."""
        visible = (row for row in self.index.at(y, x) if self.name_of(row) not in self.hidden)
        return next(visible, None)

    def _values(self) -> NDArray[np.int64]:
        places = {c.name: i + 1 for i, c in enumerate(self.classes) if c.name not in self.hidden}
        return np.array([places.get(n or UNCLASSIFIED, 0) for n, _ in self.index.kinds], np.int64)
