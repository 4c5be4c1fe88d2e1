"""Truth and prediction of any kind, read block by block on one grid of pixels.

Whatever the file, a block is uint8: 0 background, 1 + class index, and :data:`UNKNOWN` where nobody
knows: outside annotated regions, where a slide could not be read, where a label map says 255.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image as Pillow

from napari_histoaug.annotations import AnnotationIndex, ClassTable, place_on
from napari_histoaug.patches.grid import Grid
from napari_histoaug.patches.labels import Labels
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.prediction_store import CLASSES, VALID, PredictionStore
from napari_histoaug.slides import Slide

UNKNOWN = 255
REGION = "Region"  # QuPath's class for what was annotated completely
SAME = 0.01  # pixel sizes that differ by less are the same
MOST_OUTSIDE = 0.01  # share of outlines outside the grid that points to another slide

UInt8 = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


class LabelSource(Protocol):
    """Labels that are read block by block."""

    @property
    def name(self) -> str:
        """As sentences call it."""
        ...

    def read(self, box: Box) -> UInt8:
        """Labels uint8 (height, width) of (y, x, height, width), inside the grid."""
        ...


class Raster(NamedTuple):
    """Labels that have pixels of their own.

    Attributes
    ----------
    name : str
    levels : list of arrays (H, W)
        Finest first.
    table : uint8, (256,) or None
        What each value of the file means; None where the values are those of the classes already.
    valid : array (H, W) or None
        0 where nothing is known; of the finest level.
    mpp : (float, float) or None
        Of the finest level.
    spacing : (float, float) or None
        Level-0 pixels of the slide a pixel.
    classes : tuple of str or None
        As the file names them.
    """

    name: str
    levels: Sequence[Any]
    table: UInt8 | None = None
    valid: Any = None
    mpp: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    classes: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the finest level."""
        height, width = self.levels[0].shape
        return int(height), int(width)

    def read(self, box: Box) -> UInt8:
        """Labels uint8 (height, width) of a box.

        Raises
        ------
        SegmentationError
            When a value is none of a class.
        """
        y, x, height, width = box
        part = np.asarray(self.levels[0][y : y + height, x : x + width])
        if self.table is not None:
            part = self.table[part]
        elif self.classes is not None:
            largest = int(part[part != UNKNOWN].max(initial=0))
            if largest > len(self.classes):
                raise SegmentationError(
                    f"{self.name} holds the value {largest}, but there are {len(self.classes)} "
                    f"classes ({', '.join(self.classes)}); name them all, in their order."
                )
        if self.valid is not None:
            part = np.where(self.valid[y : y + height, x : x + width] != 0, part, UNKNOWN)
        return np.asarray(part, np.uint8)


class Outlines:
    """A GeoJSON file painted on a grid.

    Parameters
    ----------
    name : str
    index : AnnotationIndex
        Placed on its slide.
    classes : sequence of str
    grid : Grid
    complete : bool
        Whether all that is not outlined is background; else only what lies in a region is known.
    """

    def __init__(
        self,
        name: str,
        index: AnnotationIndex,
        classes: Sequence[str],
        grid: Grid,
        complete: bool,
    ) -> None:
        self.name, self.grid, self.complete = name, grid, complete
        self._labels = Labels(index, ClassTable.from_names(classes))
        ignored = [n for n in index.class_counts() if n and n.endswith("*") and not _is_region(n)]
        regions = [n for n in index.class_counts() if n and _is_region(n)]
        self._ignored = Labels(index, ClassTable.from_names(ignored)) if ignored else None
        self._regions = Labels(index, ClassTable.from_names(regions)) if regions else None

    @property
    def has_regions(self) -> bool:
        """Whether the file says where it was annotated completely."""
        return self._regions is not None

    @property
    def empty(self) -> bool:
        """Whether nothing of the classes is outlined."""
        return self._labels.empty

    def read(self, box: Box) -> UInt8:
        """Labels uint8 (height, width) of a box."""
        out = self._labels.mask(self.grid, box)
        if not self.complete and self._regions is not None:
            out[self._regions.mask(self.grid, box) == 0] = UNKNOWN
        if self._ignored is not None:
            out[self._ignored.mask(self.grid, box) != 0] = UNKNOWN
        return out


def read_outlines(
    path: Path,
    classes: Sequence[str],
    grid: Grid,
    *,
    complete: bool,
    slide: Slide | None = None,
    frame: str | None = None,
) -> Outlines:
    """Open a GeoJSON file as labels on a grid.

    Parameters
    ----------
    complete : bool
        The slide was annotated completely: what is not outlined is background.
    slide : Slide, optional
        Tells in which frame the coordinates count, and whether they belong to it at all.

    Raises
    ------
    AnnotationError
        When the file is unusable, or seems to belong to another slide.
    SegmentationError
        When it knows none of the classes, is not said to be complete anywhere, or lies elsewhere.
    """
    index = AnnotationIndex.from_file(path)
    if slide is not None:
        place_on(index, slide, frame, source=path.name)
    else:
        _see_inside(index, grid, path.name)
    return placed_outlines(index, path.name, classes, grid, complete=complete)


def placed_outlines(
    index: AnnotationIndex, name: str, classes: Sequence[str], grid: Grid, *, complete: bool
) -> Outlines:
    """Take outlines that lie on their slide already as labels on a grid; see `read_outlines`.

    Parameters
    ----------
    name : str
        As sentences call them.

    Raises
    ------
    SegmentationError
        When features are broken, none has one of the classes, or nothing is said to be complete.
    """
    lost = [problem for problem in index.problems if not problem.kept]
    if lost:
        raise SegmentationError(
            f"{lost[0].place} of {name} {lost[0].reason} (broken features: {len(lost)}); "
            "correct or delete them."
        )
    found = Outlines(name, index, classes, grid, complete)
    if found.empty:
        _explain_empty(index, classes, name, complete or found.has_regions)
    if not complete and not found.has_regions:
        raise SegmentationError(
            f"Nothing says where {name} is complete, and what is not outlined may still be a "
            f"vessel: outline what was annotated as class {REGION}*, or declare the whole slide "
            "annotated."
        )
    return found


def read_raster(path: Path, classes: Sequence[str] | None = None) -> Raster:
    """Open a prediction, an OME-Zarr label image or a picture of labels.

    Parameters
    ----------
    classes : sequence of str, optional
        What the values 1, 2, ... shall mean. Files that name their values are brought to it.

    Raises
    ------
    SegmentationError
        When the file is missing, holds colours or fractions, or no label image.
    """
    if not path.exists():
        raise SegmentationError(f"There is no {path}; check the path.")
    if not path.is_dir():
        return _picture(path, classes)
    raster = _zarr(path)
    if raster.classes is None or classes is None or raster.classes == tuple(classes):
        return raster._replace(classes=tuple(classes) if classes else raster.classes)
    if not set(raster.classes) & set(classes):
        raise SegmentationError(
            f"{path.name} knows {', '.join(raster.classes)}, not {', '.join(classes)}; rename its "
            "classes or choose another file."
        )
    table = np.zeros(256, np.uint8)
    table[UNKNOWN] = UNKNOWN
    for value, name in enumerate(raster.classes, 1):
        table[value] = classes.index(name) + 1 if name in classes else 0
    return raster._replace(table=table, classes=tuple(classes))


def on_grid(raster: Raster, grid: Grid) -> Raster:
    """The level of a label image that lies on a grid.

    Raises
    ------
    SegmentationError
        When no level has its size, or the pixel sizes differ.
    """
    for level, array in enumerate(raster.levels):
        if tuple(array.shape) != grid.shape:
            continue
        mpp = None if raster.mpp is None else tuple(side * 2**level for side in raster.mpp)
        if (
            mpp
            and grid.mpp
            and max(abs(a / b - 1) for a, b in zip(mpp, grid.mpp, strict=True)) > SAME
        ):
            raise SegmentationError(
                f"{raster.name} has {mpp[0]:g} µm a pixel and the prediction {grid.mpp[0]:g}; they "
                "are not of the same slide, or one states a wrong pixel size."
            )
        return raster._replace(levels=raster.levels[level:], valid=None if level else raster.valid)
    sizes = ", ".join(f"{a.shape[0]} x {a.shape[1]}" for a in raster.levels)
    raise SegmentationError(
        f"{raster.name} has {sizes} pixels, the prediction {grid.shape[0]} x {grid.shape[1]}; "
        "bring it to that grid, or add the missing level."
    )


def _is_region(name: str) -> bool:
    return name.rstrip("*") == REGION


def _see_inside(index: AnnotationIndex, grid: Grid, name: str) -> None:
    """Without a slide at hand, outlines beyond the grid are all there is to tell by."""
    height, width = (side * step for side, step in zip(grid.shape, grid.spacing, strict=True))
    x0, y0, x1, y1 = index.outlines.bounds.T
    outside = (x1 < 0) | (y1 < 0) | (x0 > width) | (y0 > height)
    if outside.sum() > MOST_OUTSIDE * len(outside):
        raise SegmentationError(
            f"{outside.sum()} of {len(outside)} outlines of {name} lie outside the "
            f"{height:.0f} x {width:.0f} pixels of the prediction's slide; choose the annotations "
            "of the same slide, or give the slide, so that their frame can be found."
        )


def _explain_empty(
    index: AnnotationIndex, classes: Sequence[str], name: str, deliberate: bool
) -> None:
    """An empty truth may be meant; a file of other classes is not."""
    others = {n: c for n, c in index.class_counts().items() if n and not n.endswith("*")}
    others = {n: c for n, c in others.items() if not _is_region(n)}
    if others:
        known = ", ".join(f"{n} ({c})" for n, c in others.items())
        raise SegmentationError(
            f"{name} outlines {known}, none of {', '.join(classes)}; rename its classes or choose "
            "another file."
        )
    if not deliberate:
        raise SegmentationError(
            f"{name} outlines nothing of {', '.join(classes)}; choose another file, or declare the "
            "slide completely annotated if it has none."
        )


def _picture(path: Path, classes: Sequence[str] | None) -> Raster:
    try:
        with Pillow.open(path) as picture:
            mode, size = picture.mode, picture.size
            if mode in ("L", "P", "1", "I", "I;16"):
                values = np.asarray(picture)
    except (OSError, Pillow.DecompressionBombError) as error:
        raise SegmentationError(
            f"The label map {path.name} cannot be read ({error}); give a PNG of class values, or "
            "OME-Zarr labels if it is large."
        ) from None
    if mode == "F":
        raise SegmentationError(
            f"{path.name} holds fractions, perhaps probabilities; threshold it and save whole "
            "numbers (0 background, 1 the first class)."
        )
    if mode not in ("L", "P", "1", "I", "I;16"):
        raise SegmentationError(
            f"{path.name} is a colour picture ({mode}, {size[1]} x {size[0]}); give a label map "
            "with one channel of class values."
        )
    return Raster(path.name, [_small(values, path.name)], classes=tuple(classes or ()) or None)


def _small(values: npt.NDArray[np.generic], name: str) -> UInt8:
    if values.size and (int(values.min()) < 0 or int(values.max()) > UNKNOWN):
        raise SegmentationError(f"The labels of {name} must be whole numbers from 0 to 255.")
    return np.asarray(values, np.uint8)


def _zarr(path: Path) -> Raster:
    wrong = f"{path.name} holds no OME-Zarr label image; give a prediction, labels or a PNG."
    try:
        group = zarr.open_group(str(path), mode="r")
    except (OSError, ValueError) as error:
        raise SegmentationError(wrong) from error
    if "histoaug" in group.attrs and CLASSES in group:
        return _prediction(path)
    try:
        if "labels" in group:
            described: Any = group["labels"].attrs["ome"]
            group = group[f"labels/{described['labels'][0]}"]  # type: ignore[assignment]
        ome: Any = group.attrs["ome"]
        scales = ome["multiscales"][0]
        levels: list[Any] = [group[each["path"]] for each in scales["datasets"]]
        steps = scales["datasets"][0]["coordinateTransformations"][0]["scale"]
    except KeyError as error:
        raise SegmentationError(
            f"{path.name} lacks {error.args[0]!r}, which its metadata should have or speaks of; "
            "export the labels again."
        ) from None
    if not levels or any(level.ndim != 2 for level in levels):
        raise SegmentationError(wrong)
    if levels[0].dtype.kind not in "bui" or levels[0].dtype.itemsize > 1:
        raise SegmentationError(
            f"The labels of {path.name} are {levels[0].dtype}; they must be whole numbers from 0 "
            "to 255 in one byte."
        )
    micrometres = all(axis.get("unit") == "micrometer" for axis in scales["axes"])
    mpp = (float(steps[0]), float(steps[1])) if micrometres else None
    return Raster(path.name, levels, mpp=mpp, classes=_named(ome.get("image-label", {})))


def _named(described: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names of the values 1, 2, ..., where a label image tells them."""
    names = {each["label-value"]: each.get("class") for each in described.get("properties", ())}
    found = tuple(names[value] for value in range(1, len(names) + 1) if names.get(value))
    return found if found and len(found) == len(names) else None


def _prediction(path: Path) -> Raster:
    store = PredictionStore.open(path)
    facts = store.facts
    spacing = facts["level_0_pixels_per_pixel"]
    return Raster(
        path.name,
        store.levels(CLASSES),
        valid=store.levels(VALID)[0],
        mpp=store.mpp,
        spacing=(float(spacing[0]), float(spacing[1])),
        classes=tuple(facts["classes"]),
    )
