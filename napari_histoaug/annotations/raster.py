"""From polygons to label masks, by the pixel-centre rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations.classes import ClassTable, fold
from napari_histoaug.annotations.document import Document, Feature
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.geometry import areal

Box = tuple[int, int, int, int]


def rasterize(
    document: Document,
    classes: ClassTable,
    box: Box,
    downsample: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.uint8]:
    """Paint the annotated classes into a label mask.

    A pixel belongs to a polygon when its centre lies inside. Where classes overlap, the table's
    priority decides. Classes that are not in the table are left out, as are lines and points; an
    unclassified feature counts when its *name* is exactly a class of the table.

    Parameters
    ----------
    document : Document
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
    by_class: dict[int, list[BaseGeometry]] = {}
    for feature in document.walk():
        index = _class_index(feature, classes)
        if index is not None:
            by_class.setdefault(index, []).append(areal(feature.geometry))
    ordered = ((i, shape) for i in classes.paint_order() for shape in by_class.get(i, ()))
    return _burn(((shape, i + 1) for i, shape in ordered), box, downsample)


def rasterize_geometry(
    geometry: BaseGeometry, box: Box, downsample: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.bool_]:
    """Return where a shapely geometry covers the box, as in :func:`rasterize`: bool mask."""
    return _burn([(areal(geometry), 1)], box, downsample) > 0


def _class_index(feature: Feature, classes: ClassTable) -> int | None:
    name = feature.class_name or feature.name
    if not name:
        return None
    index = classes.find(name)
    if index is None and feature.class_name:
        similar = next((known for known in classes.names if fold(known) == fold(name)), None)
        if similar:
            raise AnnotationError(
                f"The annotations use the class {name!r} and the class table {similar!r}; "
                "rename one of them or add an alias to the table."
            )
    return index


def _burn(
    shapes: Iterable[tuple[BaseGeometry, int]], box: Box, downsample: tuple[float, float]
) -> NDArray[np.uint8]:
    from affine import Affine
    from rasterio.features import rasterize as burn

    y, x, height, width = box
    dy, dx = downsample
    # The small number keeps 1000 / (1000 / 250) from becoming 251 rows.
    size = (math.ceil(height / dy - 1e-9), math.ceil(width / dx - 1e-9))
    touching = list(_touching(shapes, box))
    if not touching or 0 in size:
        return np.zeros(size, dtype=np.uint8)
    to_slide = Affine(dx, 0.0, x, 0.0, dy, y)
    mask = burn(touching, out_shape=size, transform=to_slide, fill=0, dtype="uint8")
    return np.asarray(mask)


def _touching(
    shapes: Iterable[tuple[BaseGeometry, int]], box: Box
) -> Iterator[tuple[BaseGeometry, int]]:
    y, x, height, width = box
    window = shapely.box(x, y, x + width, y + height)
    for shape, value in shapes:
        if not shape.is_empty and window.intersects(shapely.box(*shape.bounds)):
            yield shape, value
