"""What runs in the job thread while truth and prediction are compared and written. No layers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import finding_work
from napari_histoaug.gui.error_layer import ErrorMaps
from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.jobs import JobHandle
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.sides import FoundSide, PairOrder, Side, open_sides

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histoaug.gui.comparing import CompareSettings
    from napari_histoaug.segmentation.compare import Comparison, Pair
    from napari_histoaug.segmentation.error_list import WrongObject

PICTURE = 2400  # pixels of its longest side


@dataclass(frozen=True, eq=False)
class Result:
    """A comparison of a whole slide.

    Attributes
    ----------
    order : PairOrder
    pair : Pair
    comparison : Comparison
    errors : dict of str to list of WrongObject
        A class: its wrong objects, the largest first.
    maps : ErrorMaps
    slide_layer : Image
    least_iou : float
    """

    order: PairOrder
    pair: Pair
    comparison: Comparison
    errors: Mapping[str, Sequence[WrongObject]]
    maps: ErrorMaps
    slide_layer: Image
    least_iou: float

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes compared."""
        return self.pair.classes


@dataclass(frozen=True, eq=False)
class CompareOrder:
    """What was asked for at the click.

    Attributes
    ----------
    pair : PairOrder or None
        None where the prediction has to be found first.
    truth : Side
    classes : tuple of str
    settings : CompareSettings
    find : FindOrder or None
        How to find it.
    """

    pair: PairOrder | None
    truth: Side
    classes: tuple[str, ...]
    settings: CompareSettings
    find: finding_work.FindOrder | None


def compare_all(handle: JobHandle, order: CompareOrder, slide_layer: Image) -> Result:
    """Compare over the whole grid; where nothing was found yet, find first."""
    from napari_histoaug.segmentation import compare
    from napari_histoaug.segmentation.error_list import wrong_objects

    least_iou, complete = order.settings.least_iou, order.settings.complete
    pair_order = order.pair
    if pair_order is None:
        assert order.find is not None
        found = finding_work.find(handle, order.find)
        side = FoundSide(found.source, found.live.classes, found.live.grid)
        slide = found.session.slide
        pair_order = PairOrder(order.truth, side, order.classes, complete, slide)
    handle.say("Opening truth and prediction…")
    pair = open_sides(pair_order)
    place = tempfile.TemporaryDirectory(prefix="histoaug-", ignore_cleanup_errors=True)
    handle.say("Comparing…")
    handle.clock.restart()
    comparison = compare(
        pair,
        least_iou=least_iou,
        out=Path(place.name) / "errors.zarr",
        progress=handle.progress,
        cancelled=handle.cancelled,
    )
    errors = {name: wrong_objects(each) for name, each in comparison.objects.items()}
    maps = ErrorMaps(place, pair.classes)
    return Result(pair_order, pair, comparison, errors, maps, slide_layer, least_iou)


def compare_within(
    handle: JobHandle, pair: Pair, boxes: Mapping[str, Box], least_iou: float
) -> dict[str, Comparison | str]:
    """Compare inside some level-0 boxes; a sentence where that makes no sense."""
    from napari_histoaug.segmentation import compare

    found: dict[str, Comparison | str] = {}
    for name, box in boxes.items():
        try:
            found[name] = compare(
                pair,
                within=finding_work.on_grid(box, pair.grid),
                least_iou=least_iou,
                cancelled=handle.cancelled,
            )
        except HistoaugError as error:
            handle.check()
            found[name] = str(error)
    return found


@dataclass(frozen=True, eq=False)
class ExportOrder:
    """What is written.

    Attributes
    ----------
    result : Result
    class_name : str
    view : (y, x, height, width)
        Level-0 pixels in view.
    figures : dict of str to Comparison
        A place, such as "view": its figures.
    look : (palette, opacity, contour)
    stale : bool
        Something moved since the comparison.
    """

    result: Result
    class_name: str
    view: Box | None
    figures: Mapping[str, Comparison]
    look: tuple[str, float, int]
    stale: bool


def export(handle: JobHandle, order: ExportOrder, kind: str, path: Path) -> str:
    """Write a table, a picture or a report; returns the sentence to say."""
    try:
        if kind == "table":
            _write_table(order, path)
        elif kind == "picture":
            _write_picture(order, path)
        else:
            return _write_report(handle, order, path)
    except OSError as error:
        raise HistoaugError(
            f"{path} cannot be written ({error.strerror or error}); choose another place."
        ) from None
    return f"The {kind} was written to {path}."


def _write_table(order: ExportOrder, path: Path) -> None:
    from napari_histoaug.segmentation.error_list import write_error_table

    write_error_table(path, order.result.errors, order.result.pair.grid)


def _write_picture(order: ExportOrder, path: Path) -> None:
    from PIL import Image as Pillow

    from napari_histoaug.segmentation.error_picture import error_picture

    if order.view is None:
        raise HistoaugError("The slide is not in view; bring it there, then take the picture.")
    tissue, outcomes, step = _pictured(order, order.view)
    grid = order.result.pair.grid
    mpp = None if grid.mpp is None else grid.mpp[1] * step
    palette, opacity, contour = order.look
    picture = error_picture(
        tissue, outcomes, palette=palette, opacity=opacity, contour=contour, mpp=mpp
    )
    temporary = path.with_name(f".part.{path.name}")
    Pillow.fromarray(picture).save(temporary, "PNG")
    os.replace(temporary, path)


def _pictured(order: ExportOrder, view: Box) -> tuple[np.ndarray, np.ndarray, int]:
    """Tissue and error map of a level-0 box at one scale, and grid pixels a pixel of them."""
    from napari_histoaug.patches.grid import Grid, level_for
    from napari_histoaug.patches.pixels import read_pixels

    result = order.result
    grid, maps = result.pair.grid, result.maps
    session = session_of(result.slide_layer)
    assert session is not None
    box = finding_work.on_grid(view, grid)
    shapes = maps.shapes(order.class_name)
    level = next((n for n in range(len(shapes)) if max(box[2:]) >> n <= PICTURE), len(shapes) - 1)
    step = 2**level
    y, x, height, width = (side // step for side in box)
    place = (y, x, max(1, height), max(1, width))
    spacing = (grid.spacing[0] * step, grid.spacing[1] * step)
    coarse = Grid(shapes[level], spacing, level_for(session.slide, spacing), None)
    tissue = read_pixels(session.slide, coarse, place, session.edits)
    outcomes = maps.read(order.class_name, level, place)
    return tissue[: outcomes.shape[0], : outcomes.shape[1]], outcomes, step


def _write_report(handle: JobHandle, order: ExportOrder, folder: Path) -> str:
    from napari_histoaug.evaluation.page import write_results

    result = order.result
    session = session_of(result.slide_layer)
    assert session is not None
    handle.say("Hashing the slide…")
    session.slide.sha256(handle.cancelled)
    handle.say("Writing the report…")
    notes = list(result.comparison.notes)
    if order.stale:
        notes.append("Truth, prediction or settings were changed after this comparison.")
    figures = {
        place: {
            kind: {name: _counted(comparison, name, kind) for name in result.classes}
            for kind in ("pixels", "objects")
        }
        for place, comparison in order.figures.items()
    }
    about = {
        "slide": session.slide.slide_id(),
        "truth": _kind(result.order.truth),
        "prediction": _kind(result.order.prediction),
        "truth is complete": result.order.complete,
        "objects match from IoU": result.least_iou,
        "micrometres a pixel": result.pair.grid.mpp,
        "pixels compared": result.comparison.known,
    }
    title = "Vessels found, against the truth"
    write_results(folder, title, figures, _tables(order), notes, about)
    _write_table(order, folder / "errors.csv")
    if order.view is not None:
        _write_picture(order, folder / "view.png")
    return f"The report was written to {folder}."


def _tables(order: ExportOrder) -> list[Any]:
    from napari_histoaug.evaluation.page import Table

    head = ("class", "of", "TP", "FP", "FN", "Dice", "precision", "recall", "IoU")
    tables = []
    for place, comparison in order.figures.items():
        rows = []
        for name in order.result.classes:
            for kind in ("pixels", "objects"):
                counts = comparison.pixels[name]
                if kind == "objects":
                    counts = comparison.objects[name].counts
                figures = (counts.dice, counts.precision, counts.recall, counts.iou)
                cells = [f"{n:,}" for n in (counts.tp, counts.fp, counts.fn)]
                rows.append([name, kind, *cells, *(said(figure) for figure in figures)])
        tables.append(Table(place, head, rows))
    return tables


def said(figure: float | None) -> str:
    """A figure as people read it; one without a denominator is undefined."""
    return "undefined" if figure is None else f"{figure:.3f}"


def _counted(comparison: Comparison, name: str, kind: str) -> dict[str, Any]:
    counts = comparison.pixels[name] if kind == "pixels" else comparison.objects[name].counts
    return {
        **{key: getattr(counts, key) for key in ("tp", "fp", "fn")},
        **{key: getattr(counts, key) for key in ("dice", "precision", "recall", "iou")},
    }


def _kind(side: Side) -> str:
    """What a side is, without its name."""
    kinds = {
        "FileSide": "a file",
        "OutlineSide": "outlines on the slide",
        "LabelSide": "labels on the slide",
        "FoundSide": "a segmenter's finding",
    }
    return kinds[type(side).__name__]
