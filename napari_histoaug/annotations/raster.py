"""From polygons to label masks, by the pixel-centre rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations.classes import ClassTable, fold
from napari_histoaug.annotations.document import Document
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.files import no_cycles
from napari_histoaug.annotations.geometry import areal
from napari_histoaug.annotations.index import AnnotationIndex
from napari_histoaug.annotations.outline_arrays import Kind

Box = tuple[int, int, int, int]
Shape = tuple[Any, int]
_AT_ONCE = 2048


def rasterize(
    document: Document | AnnotationIndex,
    classes: ClassTable,
    box: Box,
    downsample: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.uint8]:
    """Paint the annotated classes into a label mask.

    A pixel belongs to a polygon when its centre lies inside. Where classes overlap, the table's
    priority decides. Classes that are not in the table are left out, as are lines and points; an
    unclassified feature counts when its *name* is exactly a class of the table.
    :meth:`ClassTable.check` finds out beforehand whether a document has other classes.

    Parameters
    ----------
    document : Document or AnnotationIndex
        An index pays when several boxes are painted.
    classes : ClassTable
    box : tuple of int
        (y, x, height, width) in level-0 pixels; may reach outside the slide.
    downsample : tuple of float
        (dy, dx), level-0 pixels for each pixel of the mask.

    Returns
    -------
    uint8 (ceil(height / dy), ceil(width / dx))
        0 background, else 1 + the index of the class.

    Raises
    ------
    AnnotationError
        When a class of the document differs from one of the table only by case or spacing; it
        would otherwise be missed in silence.
    """
    index = _index(document)
    values = mask_values(index.kinds, classes)
    rows = _painted(index, values, box)
    of_row = values[index.outlines.kind[rows]]
    rank = np.argsort(classes.paint_order())
    order = np.argsort(rank[of_row - 1], kind="stable")
    return burn_rows(index, rows[order], of_row[order], box, downsample)


def rasterize_channels(
    document: Document | AnnotationIndex,
    classes: ClassTable,
    box: Box,
    downsample: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.bool_]:
    """Paint every class into a mask of its own, so that overlaps are kept.

    Parameters and errors are those of :func:`rasterize`.

    Returns
    -------
    bool (classes, ceil(height / dy), ceil(width / dx))
    """
    index = _index(document)
    values = mask_values(index.kinds, classes)
    rows = _painted(index, values, box)
    of_row = values[index.outlines.kind[rows]]
    return np.stack(
        [
            burn_rows(index, chosen, np.ones_like(chosen), box, downsample) > 0
            for chosen in (rows[of_row == i + 1] for i in range(len(classes)))
        ]
    )


def rasterize_geometry(
    geometry: BaseGeometry, box: Box, downsample: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.bool_]:
    """Return where a shapely geometry covers the box, as in :func:`rasterize`: bool mask."""
    return _burn(_touching([(areal(geometry), 1)], box), box, downsample) > 0


def mask_values(kinds: Iterable[Kind], classes: ClassTable) -> NDArray[np.int64]:
    """Return the mask value of each (class, name) pair, 0 for what is not painted.

    Raises
    ------
    AnnotationError
        When a class differs from one of the table only by case or spacing.
    """
    return np.array([_mask_value(kind, classes) for kind in kinds], np.int64)


def _mask_value(kind: Kind, classes: ClassTable) -> int:
    class_name, name = kind
    wanted = class_name or name
    index = classes.find(wanted) if wanted else None
    if index is None and class_name and not classes.is_ignored(class_name):
        similar = next((known for known in classes.names if fold(known) == fold(class_name)), None)
        if similar:
            raise AnnotationError(
                f"The annotations use the class {class_name!r} and the class table {similar!r}; "
                "rename one of them or add an alias to the table."
            )
    return 0 if index is None or classes.classes[index].ignore else index + 1


def _index(document: Document | AnnotationIndex) -> AnnotationIndex:
    if isinstance(document, AnnotationIndex):
        return document
    return AnnotationIndex.from_document(document)


def _painted(index: AnnotationIndex, values: NDArray[np.int64], box: Box) -> NDArray[np.int64]:
    """Return the features to paint in a box, in file order."""
    rows = index.touching(box)
    return rows[values[index.outlines.kind[rows]] > 0] if len(rows) else rows


def burn_rows(
    index: AnnotationIndex,
    rows: NDArray[np.int64],
    values: NDArray[np.int64],
    box: Box,
    downsample: tuple[float, float],
    dtype: str = "uint8",
) -> NDArray[Any]:
    """Paint outlines of an index in the order given, each with its value, as in :func:`rasterize`.

    Parameters
    ----------
    rows, values : int64 (n,)
        Which outlines, and what to paint them with.
    """
    shapes = (
        (_polygon(index.outlines.coordinates(row)), value)
        for row, value in zip(rows.tolist(), values.tolist(), strict=True)
    )
    shifted = (box[0] - index.frame.dy, box[1] - index.frame.dx, box[2], box[3])
    return _burn(shapes, shifted, downsample, dtype)


def _polygon(parts: list[Any]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _burn(
    shapes: Iterable[Shape],
    box: tuple[float, float, int, int],
    downsample: tuple[float, float],
    dtype: str = "uint8",
) -> NDArray[Any]:
    from affine import Affine
    from rasterio.features import rasterize as burn

    y, x, height, width = box
    dy, dx = downsample
    # The small number keeps 1000 / (1000 / 250) from becoming 251 rows.
    size = (math.ceil(height / dy - 1e-9), math.ceil(width / dx - 1e-9))
    mask = np.zeros(size, dtype=dtype)
    if 0 in size:
        return mask
    to_slide = Affine(dx, 0.0, x, 0.0, dy, y)
    remaining = iter(shapes)
    with no_cycles():
        # rasterio keeps what it is given, so it is not given all at once
        while some := list(itertools.islice(remaining, _AT_ONCE)):
            burn(some, out=mask, transform=to_slide)
    return mask


def _touching(
    shapes: Iterable[tuple[BaseGeometry, int]], box: Box
) -> Iterator[tuple[BaseGeometry, int]]:
    y, x, height, width = box
    window = shapely.box(x, y, x + width, y + height)
    for shape, value in shapes:
        if not shape.is_empty and window.intersects(shapely.box(*shape.bounds)):
            yield shape, value
