"""Truth against prediction, block by block: for slides, regions, and what is in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_histoaug.errors import Cancelled
from napari_histoaug.metrics import Confusion
from napari_histoaug.patches.grid import Grid, patch_grid
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.segmentation.error_map import Outcome, error_map
from napari_histoaug.segmentation.error_store import PALETTE, error_store
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.label_sources import (
    UNKNOWN,
    LabelSource,
    Raster,
    on_grid,
    read_outlines,
    read_raster,
)
from napari_histoaug.segmentation.object_counts import ObjectCounter, ObjectErrors
from napari_histoaug.segmentation.prediction_store import blocks
from napari_histoaug.slides import Slide

Box = tuple[int, int, int, int]
UInt8 = npt.NDArray[np.uint8]
OUTLINES = (".geojson", ".json", ".gz", ".zip")


@dataclass(frozen=True)
class Comparison:
    """How a prediction compares with the truth.

    Attributes
    ----------
    pixels : dict of str to Confusion
        A class: counts over the pixels that both sides know.
    objects : dict of str to ObjectErrors
        A class: connected areas (8-neighbourhood) matched by intersection over union.
    known : int
        Pixels that were compared.
    grid : Grid
    notes : list of str
        What a reader of the figures should know.
    """

    pixels: dict[str, Confusion]
    objects: dict[str, ObjectErrors]
    known: int
    grid: Grid
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """Truth and prediction on one grid."""

    truth: LabelSource
    prediction: LabelSource
    classes: tuple[str, ...]
    grid: Grid


def open_pair(
    truth: Path,
    prediction: Path,
    classes: Sequence[str] | None = None,
    *,
    complete: bool = False,
    slide: Slide | None = None,
    frame: str | None = None,
    mpp: float | None = None,
) -> Pair:
    """Open truth and prediction, each GeoJSON, OME-Zarr labels, a prediction or a PNG.

    They are compared on the prediction's pixels; on the truth's where the prediction is outlines;
    where both are, on the slide's at `mpp`.

    Parameters
    ----------
    classes : sequence of str, optional
        What the values 1, 2, ... mean; the prediction's own where it says so.
    complete : bool
        The truth is complete: what it does not outline is background. Otherwise only its regions
        (outlines of class ``Region*``) are compared. Label images are complete but for 255.
    slide, frame
        The slide the outlines were drawn on, and what their coordinates count from.
    mpp : float, optional
        Micrometres a pixel, where both are outlines.

    Raises
    ------
    SegmentationError
        When the two cannot be compared; one sentence.
    """
    rasters = {p: read_raster(p, classes) for p in (prediction, truth) if not _is_outlines(p)}
    if classes is None:
        named = next((r.classes for r in rasters.values() if r.classes), None)
        if named is None:
            raise SegmentationError(
                f"Nothing says which classes {prediction.name} holds; name them, in the order of "
                "their values."
            )
        classes = named
        rasters = {p: read_raster(p, classes) for p in rasters}
    main = rasters.get(prediction) or rasters.get(truth)
    grid = _slide_grid(slide, mpp) if main is None else raster_grid(main, slide)
    sides: list[LabelSource] = []
    for path, whole in ((truth, complete), (prediction, True)):
        if path in rasters:
            sides.append(on_grid(rasters[path], grid))
        else:
            sides.append(
                read_outlines(path, classes, grid, complete=whole, slide=slide, frame=frame)
            )
    return Pair(sides[0], sides[1], tuple(classes), grid)


def compare(
    pair: Pair,
    *,
    within: Box | None = None,
    least_iou: float = 0.5,
    objects: bool = True,
    out: Path | None = None,
    palette: str = PALETTE,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    block_done: Callable[[Box, dict[str, UInt8]], None] | None = None,
) -> Comparison:
    """Compare truth and prediction in flat memory.

    Parameters
    ----------
    pair : Pair
    within : (y, x, height, width), optional
        Only these pixels of the grid: a region, or what is in view.
    least_iou : float
        From which overlap an object counts as found.
    objects : bool
        Whether objects are counted, too.
    out : Path, optional
        Folder to make: error maps, see :mod:`.error_store`.
    palette : str
        Their colours.
    progress : callable, optional
        Called with (done, total) blocks.
    cancelled : callable, optional
        Asked before every block.
    block_done : callable, optional
        Told each block's box and its error maps by class, uint8 (height, width).

    Raises
    ------
    SegmentationError
        When `within` misses the grid, nothing is known, or `out` exists.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so; nothing is left behind.
    """
    work = _Work(pair, least_iou, objects)
    boxes = [c for b in blocks(pair.grid.shape) if (c := _common(b, within)) is not None]
    if not boxes:
        raise SegmentationError(
            f"The region {within} lies outside the {pair.grid.shape[0]} x {pair.grid.shape[1]} "
            "pixels that are compared; choose another one."
        )

    def stop() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("Stopped; nothing was written.")

    shape, mpp = pair.grid.shape, pair.grid.mpp
    with (
        error_store(out, pair.classes, shape, mpp, palette, stop) if out else nullcontext()
    ) as store:
        for done, box in enumerate(boxes, 1):
            stop()
            maps = work.add(box)
            if store is not None:
                for name, outcomes in maps.items():
                    store.write(name, box, outcomes)
            if block_done is not None:
                block_done(box, maps)
            if progress is not None:
                progress(done, len(boxes))
    return work.result()


class _Work:
    """Counts of the blocks so far."""

    def __init__(self, pair: Pair, least_iou: float, objects: bool) -> None:
        self.pair, self.least_iou = pair, least_iou
        self.pixels = dict.fromkeys(pair.classes, Confusion())
        self.counters = {name: ObjectCounter() for name in pair.classes} if objects else {}
        self.known = 0

    def add(self, box: Box) -> dict[str, UInt8]:
        """Count a block; returns its error maps."""
        truth, prediction = self.pair.truth.read(box), self.pair.prediction.read(box)
        known = (truth != UNKNOWN) & (prediction != UNKNOWN)
        self.known += int(np.count_nonzero(known))
        maps = {}
        for value, name in enumerate(self.pair.classes, 1):
            t, p = (truth == value) & known, (prediction == value) & known
            maps[name] = error_map(t, p)
            found = np.bincount(maps[name].ravel(), minlength=len(Outcome)).tolist()
            self.pixels[name] += Confusion(*found[1:])
            if name in self.counters:
                self.counters[name].add(box, t, p)
        return maps

    def result(self) -> Comparison:
        """The figures, and what should be known of them."""
        if not self.known:
            raise SegmentationError(
                f"{self.pair.truth.name} and {self.pair.prediction.name} share no pixel that both "
                "know; check the regions and the valid mask."
            )
        notes = [
            f"The truth holds no {name}: recall is undefined, and every {name} found is false."
            for name, counts in self.pixels.items()
            if not counts.tp + counts.fn
        ]
        objects = {name: each.result(self.least_iou) for name, each in self.counters.items()}
        return Comparison(self.pixels, objects, self.known, self.pair.grid, notes)


def _is_outlines(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() in OUTLINES


def raster_grid(raster: Raster, slide: Slide | None) -> Grid:
    """The grid of a label image over its slide."""
    spacing = raster.spacing
    if spacing is None and slide is not None and slide.mpp is not None and raster.mpp is not None:
        spacing = (raster.mpp[0] / slide.mpp[0], raster.mpp[1] / slide.mpp[1])
    # A label image that says nothing lies on the pixels of its slide.
    return Grid(raster.shape, spacing or (1.0, 1.0), 0, raster.mpp)


def _slide_grid(slide: Slide | None, mpp: float | None) -> Grid:
    if slide is None:
        raise SegmentationError(
            "Truth and prediction are both outlines; give the slide, on whose pixels they can be "
            "compared."
        )
    return patch_grid(slide, PatchSettings(mpp=mpp))


def _common(box: Box, within: Box | None) -> Box | None:
    if within is None:
        return box
    y, x = max(box[0], within[0]), max(box[1], within[1])
    height = min(box[0] + box[2], within[0] + within[2]) - y
    width = min(box[1] + box[3], within[1] + within[3]) - x
    return (y, x, height, width) if height > 0 and width > 0 else None
