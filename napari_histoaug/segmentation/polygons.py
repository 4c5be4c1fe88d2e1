"""From a label mask of any size to outlines, for QuPath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import shapely
from affine import Affine
from rasterio.features import shapes
from shapely.geometry import shape as to_shapely

from napari_histoaug.annotations import ClassTable, Document, Feature
from napari_histoaug.segmentation.prediction_store import Box, blocks


class LabelArray(Protocol):
    """A label mask (H, W) in memory or in zarr."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""
        ...

    def __getitem__(self, key: tuple[slice, slice]) -> object:
        """A rectangle of it."""
        ...


def outline_labels(
    labels: LabelArray,
    classes: Sequence[str],
    table: ClassTable,
    spacing: tuple[float, float] = (1.0, 1.0),
    least_area: float = 0.0,
) -> Document:
    """Outline every connected area of a label mask.

    The mask is read in blocks; areas that reach over several are put together again.

    Parameters
    ----------
    labels : uint8, (H, W)
        0 background, else 1 + index into `classes`.
    classes : sequence of str
    table : ClassTable
        Gives the colours.
    spacing : (float, float)
        Level-0 pixels a pixel of the mask, (y, x).
    least_area : float
        Smaller areas, in square level-0 pixels, are left out.

    Returns
    -------
    Document
        Polygons along pixel edges, in (x, y) level-0 pixels, from top to bottom; painted again they
        give the same mask. Areas that touch at a corner only are two.
    """
    whole: dict[int, list[shapely.Polygon]] = {}
    cut: dict[int, list[shapely.Polygon]] = {}
    for box in blocks((labels.shape[0], labels.shape[1])):
        for value, polygon, touches in _outlines(labels, box, spacing):
            (cut if touches else whole).setdefault(value, []).append(polygon)
    for value, pieces in cut.items():
        joined = shapely.union_all(pieces)
        whole.setdefault(value, []).extend(getattr(joined, "geoms", [joined]))
    features = []
    for value, polygons in sorted(whole.items()):
        name = classes[value - 1]
        colour = table.color_of(name)
        for polygon in sorted(polygons, key=lambda p: (p.bounds[1], p.bounds[0])):
            if polygon.area >= least_area:
                features.append(Feature.new(polygon, name, colour))
    return Document.from_features(features)


def _outlines(
    labels: LabelArray, box: Box, spacing: tuple[float, float]
) -> list[tuple[int, shapely.Polygon, bool]]:
    """Value, polygon, and whether it touches the block's border, of every area of a block."""
    y, x, height, width = box
    part = np.asarray(labels[y : y + height, x : x + width], np.uint8)
    if not part.any():
        return []
    sy, sx = spacing
    to_slide = Affine(sx, 0.0, x * sx, 0.0, sy, y * sy)
    left, top, right, bottom = x * sx, y * sy, (x + width) * sx, (y + height) * sy
    found = []
    for geometry, value in shapes(part, mask=part > 0, connectivity=4, transform=to_slide):
        polygon = to_shapely(geometry)
        x0, y0, x1, y1 = polygon.bounds
        touches = x0 <= left or y0 <= top or x1 >= right or y1 >= bottom
        found.append((int(value), polygon, touches))
    return found
