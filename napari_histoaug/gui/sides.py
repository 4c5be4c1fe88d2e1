"""The two sides of a comparison, whatever shows them, brought to one grid of pixels.

No layers here: what a layer holds was taken from it on the main thread, see :mod:`.choices`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import Box

if TYPE_CHECKING:
    from napari_histoaug.annotations import AnnotationIndex
    from napari_histoaug.patches.grid import Grid
    from napari_histoaug.segmentation.compare import Pair
    from napari_histoaug.segmentation.label_sources import LabelSource
    from napari_histoaug.slides import Slide

UNKNOWN = 255


@dataclass(frozen=True, eq=False)
class FileSide:
    """A file: GeoJSON, OME-Zarr labels, a prediction, or a picture of labels."""

    path: Path

    @property
    def name(self) -> str:
        """As sentences call it."""
        return self.path.name


@dataclass(frozen=True, eq=False)
class OutlineSide:
    """Outlines that lie on the slide: annotations, or shapes drawn there."""

    name: str
    index: AnnotationIndex

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes outlined; regions and what is to be ignored are none."""
        counts = self.index.class_counts()
        return tuple(n for n in counts if n and not n.endswith("*") and n != "Region")


@dataclass(frozen=True, eq=False)
class LabelSide:
    """The pixels of a Labels layer.

    Attributes
    ----------
    name : str
    array : integer array (height, width), in memory or lazy
    spacing : (float, float)
        Level-0 pixels of the slide a pixel, (y, x).
    corner : (float, float)
        Level-0 pixels from the slide's corner to its own, (y, x).
    """

    name: str
    array: Any
    spacing: tuple[float, float]
    corner: tuple[float, float]


@dataclass(frozen=True, eq=False)
class FoundSide:
    """What a segmenter found, at the thresholds of that moment."""

    source: Any
    classes: tuple[str, ...]
    grid: Grid

    @property
    def name(self) -> str:
        """As sentences call it."""
        return str(self.source.name)


Side = FileSide | OutlineSide | LabelSide | FoundSide


class PlacedLabels:
    """A Labels layer on a grid, each grid pixel with the value under its centre.

    Parameters
    ----------
    side : LabelSide
    classes : sequence of str
    grid : Grid
    """

    def __init__(self, side: LabelSide, classes: Sequence[str], grid: Grid) -> None:
        self.name, self._side, self._classes, self._grid = side.name, side, tuple(classes), grid
        self._plain = side.array.dtype.itemsize == 1

    def read(self, box: Box) -> np.ndarray:
        """Labels uint8 (height, width), ``UNKNOWN`` beyond the layer.

        Raises
        ------
        SegmentationError
            When a value is none of a class.
        """
        out = np.full(box[2:], UNKNOWN, np.uint8)
        rows, columns = (self._under(box[a], box[a + 2], a) for a in (0, 1))
        inside = [
            (at >= 0) & (at < side)
            for at, side in zip((rows, columns), self._side.array.shape, strict=True)
        ]
        if not (inside[0].any() and inside[1].any()):
            return out
        rows, columns = rows[inside[0]], columns[inside[1]]
        first = rows[0], columns[0]
        part = np.asarray(self._side.array[first[0] : rows[-1] + 1, first[1] : columns[-1] + 1])
        if (len(rows), len(columns)) != part.shape:
            part = part[np.ix_(rows - first[0], columns - first[1])]
        out[np.ix_(*inside)] = self._values(part)
        return out

    def _under(self, start: int, length: int, axis: int) -> np.ndarray:
        """The layer's pixels under the centres of grid pixels along an axis, int64 (length,)."""
        side = self._side
        centres = (start + np.arange(length) + 0.5) * self._grid.spacing[axis]
        return np.floor((centres - side.corner[axis]) / side.spacing[axis] + 1e-6).astype(np.int64)

    def _values(self, part: np.ndarray) -> np.ndarray:
        """Class values uint8; with one class, every number but 0 of wider types is an object."""
        from napari_histoaug.segmentation import SegmentationError

        if not self._plain and len(self._classes) == 1:
            return (part != 0).astype(np.uint8)
        known = part[part != UNKNOWN] if self._plain else part
        largest = int(known.max(initial=0))
        if int(part.min(initial=0)) < 0 or largest > len(self._classes):
            raise SegmentationError(
                f"{self.name} holds the value {largest}, but there are {len(self._classes)} "
                f"classes ({', '.join(self._classes)}); name them all, in their order."
            )
        return part.astype(np.uint8)


class Renamed:
    """Labels whose values are brought to other classes.

    Parameters
    ----------
    source : LabelSource
    table : uint8 (256,)
        What each value becomes.
    """

    def __init__(self, source: LabelSource, table: np.ndarray) -> None:
        self.name, self._source, self._table = source.name, source, table

    def read(self, box: Box) -> np.ndarray:
        """Labels uint8 (height, width)."""
        return self._table[self._source.read(box)]


@dataclass(frozen=True)
class PairOrder:
    """What shall be compared.

    Attributes
    ----------
    truth, prediction : Side
    classes : tuple of str
        As the user named them; empty: as the sides say.
    complete : bool
        What the truth does not outline is background.
    slide : Slide or None
    """

    truth: Side
    prediction: Side
    classes: tuple[str, ...]
    complete: bool
    slide: Slide | None


def open_sides(order: PairOrder) -> Pair:
    """Bring both sides to one grid: the prediction's, else the truth's, else the slide's.

    Two files are opened by :func:`napari_histoaug.segmentation.open_pair`, others alike.

    Raises
    ------
    HistoaugError
        When the two cannot be compared; one sentence.
    """
    from napari_histoaug.segmentation import open_pair
    from napari_histoaug.segmentation.compare import Pair

    truth, prediction = order.truth, order.prediction
    if isinstance(truth, FileSide) and isinstance(prediction, FileSide):
        return open_pair(
            truth.path,
            prediction.path,
            order.classes or None,
            complete=order.complete,
            slide=order.slide,
        )
    classes = order.classes or _classes_of(prediction) or _classes_of(truth)
    if not classes:
        raise HistoaugError(
            f"Nothing says which classes {prediction.name} holds; name them, in the order of "
            "their values."
        )
    grid = _grid_of(prediction, order.slide) or _grid_of(truth, order.slide)
    if grid is None:
        grid = _slide_grid(order.slide)
    # what a prediction does not outline it calls background
    whole = replace(order, complete=True)
    sides = source_of(truth, classes, grid, order), source_of(prediction, classes, grid, whole)
    return Pair(*sides, tuple(classes), grid)


def _classes_of(side: Side) -> tuple[str, ...]:
    if isinstance(side, FileSide):
        from napari_histoaug.segmentation.label_sources import read_raster

        return () if _is_outlines(side) else read_raster(side.path).classes or ()
    return () if isinstance(side, LabelSide) else side.classes


def _grid_of(side: Side, slide: Slide | None) -> Grid | None:
    """The grid of pixels a side has; None for outlines."""
    from napari_histoaug.patches.grid import Grid
    from napari_histoaug.segmentation.compare import raster_grid
    from napari_histoaug.segmentation.label_sources import read_raster

    if isinstance(side, FoundSide):
        return side.grid
    if isinstance(side, FileSide):
        return None if _is_outlines(side) else raster_grid(read_raster(side.path), slide)
    if isinstance(side, OutlineSide):
        return None
    height, width = (int(n) for n in side.array.shape)
    if slide is None:
        return Grid((height, width), side.spacing, 0, None)
    whole = slide.levels[0].shape
    spacing = side.spacing
    shape = tuple(max(1, int(n / s + 1e-6)) for n, s in zip(whole, spacing, strict=True))
    mpp = slide.mpp and (slide.mpp[0] * spacing[0], slide.mpp[1] * spacing[1])
    return Grid((shape[0], shape[1]), spacing, 0, mpp)


def _slide_grid(slide: Slide | None) -> Grid:
    from napari_histoaug.patches.grid import patch_grid
    from napari_histoaug.patches.settings import PatchSettings

    if slide is None:
        raise HistoaugError(
            "Truth and prediction are both outlines; open the slide, on whose pixels they can be "
            "compared."
        )
    return patch_grid(slide, PatchSettings(mpp=None))


def source_of(side: Side, classes: Sequence[str], grid: Grid, order: PairOrder) -> LabelSource:
    """A side as labels on a grid.

    Raises
    ------
    HistoaugError
        When it cannot be brought there; one sentence.
    """
    from napari_histoaug.segmentation import label_sources

    if isinstance(side, OutlineSide):
        return label_sources.placed_outlines(
            side.index, side.name, classes, grid, complete=order.complete
        )
    if isinstance(side, LabelSide):
        _see_overlap(side, grid)
        return PlacedLabels(side, classes, grid)
    if isinstance(side, FoundSide):
        return renamed(side.source, side.classes, tuple(classes))
    if _is_outlines(side):
        return label_sources.read_outlines(
            side.path, classes, grid, complete=order.complete, slide=order.slide
        )
    return label_sources.on_grid(label_sources.read_raster(side.path, classes), grid)


def renamed(source: Any, own: tuple[str, ...], classes: tuple[str, ...]) -> LabelSource:
    """Labels of the classes `own` with the values of others.

    Raises
    ------
    HistoaugError
        When they have no class in common.
    """
    if own == classes:
        same: LabelSource = source
        return same
    if not set(own) & set(classes):
        raise HistoaugError(
            f"{source.name} knows {', '.join(own)}, not {', '.join(classes)}; name the classes as "
            "the segmenter does."
        )
    table = np.zeros(256, np.uint8)
    table[UNKNOWN] = UNKNOWN
    for value, name in enumerate(own, 1):
        table[value] = classes.index(name) + 1 if name in classes else 0
    return Renamed(source, table)


def _see_overlap(side: LabelSide, grid: Grid) -> None:
    """A layer somewhere else cannot be compared; one of another scale lies elsewhere, too."""
    ends = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    sizes = [n * s for n, s in zip(side.array.shape, side.spacing, strict=True)]
    beside = any(c >= e or c + n <= 0 for c, n, e in zip(side.corner, sizes, ends, strict=True))
    beyond = any(c < -0.5 * s or c + n > e + s for c, n, e, s in zip(
        side.corner, sizes, ends, side.spacing, strict=True))  # fmt: skip
    if beside or (beyond and max(n / e for n, e in zip(sizes, ends, strict=True)) > 1.01):
        raise HistoaugError(
            f"{side.name} does not lie on the slide: it covers {sizes[0]:.0f} x {sizes[1]:.0f} "
            f"pixels from ({side.corner[0]:.0f}, {side.corner[1]:.0f}) on, the slide "
            f"{ends[0]:.0f} x {ends[1]:.0f}; give the layer the slide's scale and place."
        )


def _is_outlines(side: FileSide) -> bool:
    from napari_histoaug.segmentation.compare import OUTLINES

    return not side.path.is_dir() and side.path.suffix.lower() in OUTLINES


def object_polygon(source: LabelSource, grid: Grid, found: Any, value: int) -> Any:
    """The outline of an object of one side, a shapely polygon in (x, y) level-0 pixels."""
    import shapely
    from affine import Affine
    from rasterio.features import shapes

    mask = object_pixels(source, found, value)
    (sy, sx), (y, x) = grid.spacing, found.box[:2]
    place = Affine(sx, 0.0, x * sx, 0.0, sy, y * sy)
    parts = [
        shapely.geometry.shape(geometry)
        for geometry, inside in shapes(mask.astype(np.uint8), connectivity=8, transform=place)
        if inside
    ]
    return shapely.make_valid(shapely.union_all(parts))


def object_pixels(source: LabelSource, found: Any, value: int) -> np.ndarray:
    """The pixels of an object, bool (height, width) of its box."""
    from napari_histoaug.segmentation.object_crops import object_mask

    return object_mask(_Indexed(source), found, value)


class _Indexed:
    """Reads a source as an array is read."""

    def __init__(self, source: LabelSource) -> None:
        self._read: Callable[[Box], np.ndarray] = source.read

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        rows, columns = key
        y, x = rows.start, columns.start
        return self._read((y, x, rows.stop - y, columns.stop - x))
