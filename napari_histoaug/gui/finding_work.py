"""What runs in the job thread while vessels are found, filtered and written. No layers here."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.found import NAME, FilteredLabels, Found
from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.jobs import JobHandle

if TYPE_CHECKING:
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.patches.grid import Grid
    from napari_histoaug.segmentation import Segmenter


def load_segmenter(source: str | None, device: str) -> Segmenter:
    """The package's own loading, with one core left to the window."""
    from napari_histoaug.generation.device import leave_a_core
    from napari_histoaug.segmentation import load_segmenter as load

    leave_a_core()
    return load(source, device)


@dataclass
class SegmenterShelf:
    """Keeps the last segmenter, since loading one takes seconds; safe in several threads."""

    load: Callable[..., Segmenter]
    _key: tuple[str | None, str] | None = None
    _segmenter: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, model: str | None, device: str) -> Segmenter:
        """The segmenter, loaded when it is not the one kept."""
        with self._lock:
            if self._key != (model, device):
                self._segmenter, self._key = None, None
                self._segmenter = self.load(model, device)
                self._key = (model, device)
            return self._segmenter


@dataclass(frozen=True, eq=False)
class FindOrder:
    """What was asked for at the click.

    Attributes
    ----------
    within : (y, x, height, width) or None
        Level-0 pixels; None for the whole slide.
    tissue : bool
        Look only where there is tissue.
    found : Found or None
        What was found on this slide before.
    """

    session: SlideSession
    shelf: SegmenterShelf
    model: str | None
    device: str
    within: Box | None
    tissue: bool
    found: Found | None


def find(handle: JobHandle, order: FindOrder) -> Found:
    """Find vessels; the result is shown by ``handle.show`` from the first field on."""
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.segmentation.fields import live_prediction, predict_fields
    from napari_histoaug.segmentation.tissue_windows import tissue_windows

    session = order.session
    handle.say("Loading the segmenter…")
    segmenter = order.shelf.get(order.model, order.device)
    handle.check()
    found = order.found
    if found is None or found.model != segmenter.sha256:
        handle.say("Hashing the slide…")
        session.slide.sha256(handle.cancelled)
        live = live_prediction(segmenter, session.slide)
        colors = list(ClassTable.from_names(segmenter.classes).colors)
        found = Found(session, live, segmenter.sha256, colors)
    grid = found.live.grid
    boxes = found.live.fields(None if order.within is None else on_grid(order.within, grid))
    wanted = None
    if order.tissue:
        handle.say("Finding the tissue…")
        wanted = tissue_windows(session.slide, grid)
    if boxes:
        found.filtered = None
    handle.show(found)
    handle.clock.restart()
    predict_fields(
        segmenter,
        session.slide,
        found.live,
        boxes,
        edits=session.edits,
        wanted=wanted,
        progress=handle.progress,
        cancelled=handle.cancelled,
        field_done=lambda box: handle.show(found),
    )
    return found


def on_grid(box: Box, grid: Grid) -> Box:
    """The pixels of a grid (y, x, height, width) under a level-0 box, inside the grid."""
    sides = []
    for start, length, spacing, most in zip(
        box[:2], box[2:], grid.spacing, grid.shape, strict=True
    ):
        first = min(max(int(start / spacing), 0), most - 1)
        last = min(max(-int(-(start + length) // spacing), first + 1), most)
        sides.append((first, last - first))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def filter_found(handle: JobHandle, found: Found, folder: Path) -> tuple[FilteredLabels, str]:
    """Filter what was found; returns what is left and a sentence about the effect."""
    from napari_histoaug.segmentation import PredictionStore
    from napari_histoaug.segmentation.false_positives import filter_prediction, load_filter

    handle.say("Loading the filter…")
    model, sha256 = load_filter(folder)
    place = tempfile.TemporaryDirectory(prefix="histoaug-", ignore_cleanup_errors=True)
    before, after = Path(place.name) / "before.zarr", Path(place.name) / "after.zarr"
    handle.say("Filtering…")
    found.live.save(before, handle.check)
    counts = filter_prediction(
        model, sha256, found.session.slide, PredictionStore.open(before), after, handle.check
    )
    listed = ", ".join(
        f"{old} {name.replace('_', ' ')} before, {new} after" for name, (old, new) in counts.items()
    )
    return FilteredLabels(NAME, after, place), f"The filter was applied: {listed}."


def write_found(handle: JobHandle, found: Found, path: Path) -> str:
    """Write a prediction (``.zarr``) or outlines for QuPath; returns the sentence to say."""
    try:
        if path.suffix.lower() == ".zarr":
            handle.say("Writing the prediction…")
            _write_prediction(handle, found, path)
            return f"The prediction was written to {path}."
        handle.say("Outlining…")
        count = _write_outlines(found, path)
    except OSError as error:
        raise HistoaugError(
            f"{path} cannot be written ({error.strerror or error}); choose another place."
        ) from None
    return f"{count} outline{'s' if count != 1 else ''} were written to {path}."


def _write_prediction(handle: JobHandle, found: Found, path: Path) -> None:
    if found.filtered is None:
        found.live.save(path, handle.check)
        return
    if path.exists():
        raise HistoaugError(f"{path} exists; choose another name or delete it first.")
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(found.filtered.folder, part)
    os.replace(part, path)


def _write_outlines(found: Found, path: Path) -> int:
    from napari_histoaug.annotations import ClassTable, export_for_qupath
    from napari_histoaug.segmentation import outline_labels

    live = found.live
    table = ClassTable.from_names(live.classes)
    document = outline_labels(found.source, live.classes, table, live.grid.spacing)
    temporary = path.with_name(f".part.{path.name}")
    try:
        export_for_qupath(document, temporary, table, found.session.slide)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(document.features)
