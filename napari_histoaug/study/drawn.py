"""What was drawn on a slide, and where was looked at all, cut to windows."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations import AnnotationIndex, Feature
from napari_histoaug.annotations.classification import DEFAULT_COLOR, Color
from napari_histoaug.annotations.geometry import areal
from napari_histoaug.patches.grid import Grid
from napari_histoaug.study.errors import StudyError

UNSEEN = "not looked at*"  # nothing counts in a class with a star

Box = tuple[int, int, int, int]


class Drawn:
    """The outlines of a slide.

    Parameters
    ----------
    index : AnnotationIndex
        Placed on the slide.
    label : str
        A class that is also meant by the name of an unclassified outline.
    region : str, optional
        The class of outlines around what was looked at; everything was, if omitted.

    Raises
    ------
    StudyError
        When there is no such outline.
    """

    def __init__(self, index: AnnotationIndex, label: str, region: str | None = None) -> None:
        self._index, self._label, self._region = index, label, region
        self._seen: BaseGeometry | None = None
        if region is not None:
            numbers = [kind for kind, (name, _) in enumerate(index.kinds) if name == region]
            rows = np.flatnonzero(np.isin(index.outlines.kind, numbers)).tolist()
            if not rows:
                raise StudyError(
                    f"The annotations hold no {region}, the class around what was looked at; draw "
                    "one, or change slides.region."
                )
            self._seen = shapely.union_all([index.outlines.geometry(row) for row in rows])

    def seen_shares(
        self, grid: Grid, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], side: int
    ) -> npt.NDArray[np.float64]:
        """Share of each window that was looked at, 0 to 1: float64 (n,).

        Parameters
        ----------
        grid : Grid
        rows, columns : int64 (n,)
            Corners of the windows, grid pixels.
        side : int
            Of a window, grid pixels.
        """
        if self._seen is None:
            return np.ones(len(rows))
        shapely.prepare(self._seen)
        windows = [
            self._window(grid, (row, column, side, side))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        shared = shapely.area(shapely.intersection(windows, self._seen))
        return np.asarray(shared / shapely.area(windows))

    def within(self, grid: Grid, box: Box) -> list[Feature]:
        """Outlines within a window, in the window's pixels; also what was not looked at.

        Of each only its shape, class and colour are taken: names and measurements may say more.

        Parameters
        ----------
        grid : Grid
        box : (y, x, height, width)
            In grid pixels.
        """
        window = self._window(grid, box)
        found = []
        for row in self._index.touching(grid.level_0_box(*box)).tolist():
            kind = self._index.outlines.kind[row]
            class_name, name = self._index.kinds[kind]
            class_name = class_name or (self._label if name == self._label else None)
            if class_name is None or class_name == self._region:
                continue
            shape = self._index.outlines.geometry(row)
            if not window.contains(shape):
                shape = areal(shapely.intersection(shape, window))
            found.append((shape, class_name, self._index.colors[kind] or DEFAULT_COLOR))
        if self._seen is not None:
            unseen = areal(shapely.difference(window, self._seen))
            found.append((unseen, UNSEEN, DEFAULT_COLOR))
        return [
            _feature(_moved(shape, window, grid), name, color)
            for shape, name, color in found
            if not shape.is_empty
        ]

    def _window(self, grid: Grid, box: Box) -> shapely.Polygon:
        """A box of grid pixels in the coordinates of the file."""
        (sy, sx), frame = grid.spacing, self._index.frame
        y, x, height, width = box
        left, top = x * sx - frame.dx, y * sy - frame.dy
        return shapely.box(left, top, left + width * sx, top + height * sy)


def _moved(shape: BaseGeometry, window: shapely.Polygon, grid: Grid) -> BaseGeometry:
    corner, spacing = np.array(window.bounds[:2]), np.array(grid.spacing[::-1])
    moved = shapely.transform(shape, lambda at: (at - corner) / spacing)
    parts = list(getattr(moved, "geoms", ()))
    return parts[0] if len(parts) == 1 else moved


def _feature(shape: BaseGeometry, name: str, color: Color) -> Feature:
    feature = Feature.new(shape, name, color)
    # The same outlines make the same file.
    feature["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, shape.wkb_hex))
    return feature
