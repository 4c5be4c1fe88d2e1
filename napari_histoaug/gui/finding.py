"""Finding vessels in the window: where, with which segmenter, and what becomes of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import finding_work as work
from napari_histoaug.gui.canvas import current_view
from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks
from napari_histoaug.gui.segmenters import missing
from napari_histoaug.gui.session import session_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histoaug.gui.compare_desk import CompareDesk
    from napari_histoaug.gui.found import FilteredLabels, Found
    from napari_histoaug.gui.session import SlideSession

FINDING, FILTERING, WRITING = "finding vessels", "filtering", "writing what was found"
SCOPES = {
    "view": ("What is in view", "Every field of 512 pixels that is in view."),
    "region": ("The region", "Every field that the region touches; draw it first."),
    "slide": ("The whole slide", "All tissue; what was found already is not computed again."),
}


@dataclass
class FindSettings:
    """How to find: the segmenter by name or folder, where it runs, and where it looks."""

    model: str | None = None
    device: str = "auto"
    scope: str = "view"


class Finding:
    """What *Find vessels* does, for the slide the desk works on.

    Attributes
    ----------
    settings : FindSettings
    moved : psygnal.Signal
        What counts as found is different: more fields, another threshold, a filter.
    """

    moved = Signal()

    def __init__(self, desk: CompareDesk, load: Callable[..., Any] | None = None) -> None:
        self.controller = desk
        self.settings = FindSettings()
        self._shelf = work.SegmenterShelf(load or work.load_segmenter)
        self._found: list[Found] = []

    @property
    def running(self) -> bool:
        """The running job finds vessels (and can be cancelled)."""
        return self.controller.job is not None and self.controller.job.name == FINDING

    @property
    def found(self) -> Found | None:
        """What was found on the slide worked on; None before the first time."""
        session = self.controller.session
        return next((each for each in self._found if each.session is session), None)

    # ---- what stands in the way ----------------------------------------------------------------

    def why_not(self) -> str | None:
        """Why *Find vessels* cannot be clicked, or None."""
        desk = self.controller
        reason = missing(self.settings.model) or desk.why_not_slide() or desk.why_not_busy()
        if reason is None and self.settings.scope == "region" and desk.region_box() is None:
            reason = "No region is drawn: click Draw region and pull up a rectangle."
        return reason

    def why_no_result(self) -> str | None:
        """Why nothing can be done with a result, or None."""
        reason = self.controller.why_not_slide() or self.controller.why_not_busy()
        if reason is None and self.found is None:
            reason = "Nothing was found yet: click Find vessels."
        return reason

    # ---- finding -------------------------------------------------------------------------------

    def set(self, name: str, value: object) -> None:
        """Change a setting."""
        if getattr(self.settings, name) != value:
            setattr(self.settings, name, value)
            self.controller.changed.emit()

    @explained
    def run(self) -> None:
        """Find vessels in the chosen place, off the main thread, and show them as they come."""
        desk = self.controller
        desk.refuse(self.why_not())
        slide_layer, session = desk.needed_slide()
        order = self.order(slide_layer, session)
        desk.start(
            FINDING,
            lambda handle: work.find(handle, order),
            JobCallbacks(
                done=lambda found: self._done(found, slide_layer),
                failed=lambda error: desk.tell(str(error), show_error),
                cancelled=self.refresh,
                value=lambda found: self.show(found, slide_layer, always=False),
            ),
            unit="field",
        )

    def order(self, slide_layer: Image, session: SlideSession) -> work.FindOrder:
        """What is asked for at this moment.

        Raises
        ------
        HistoaugError
            When the slide is not in view.
        """
        return work.FindOrder(
            session,
            self._shelf,
            self.settings.model,
            self.settings.device,
            self._within(slide_layer, session),
            self.settings.scope == "slide",
            self.found,
        )

    def _within(self, slide_layer: Image, session: SlideSession) -> Box | None:
        if self.settings.scope == "view":
            return current_view(self.controller.viewer, slide_layer, session)
        return self.controller.region_box() if self.settings.scope == "region" else None

    def show(self, found: Found, slide_layer: Image, always: bool = True) -> None:
        """Show what a job found so far; not `always`: unless that was done a moment ago."""
        desk = self.controller
        if slide_layer not in desk.viewer.layers:
            return
        if found not in self._found:
            self._forget(found.session)
            self._found.append(found)
        found.show(desk.viewer, slide_layer)
        found.refresh(desk.viewer, always)

    def refresh(self) -> None:
        """Show all that was found on the slide worked on."""
        found = self.found
        if found is not None:
            found.refresh(self.controller.viewer)
            self.moved.emit()

    def _done(self, found: Found, slide_layer: Image) -> None:
        desk = self.controller
        if slide_layer not in desk.viewer.layers:
            desk.tell("What was found was dropped: its slide was closed.", show_warning)
            return
        self.show(found, slide_layer)
        self.moved.emit()
        desk.changed.emit()

    # ---- the result ----------------------------------------------------------------------------

    def set_threshold(self, class_index: int, threshold: float) -> None:
        """From which probability a pixel counts, for one class; shown at once."""
        found = self.found
        if found is None:
            return
        thresholds = list(found.live.thresholds)
        thresholds[class_index] = threshold
        found.live.thresholds = tuple(thresholds)
        found.filtered = None
        found.refresh_labels(self.controller.viewer)
        self.moved.emit()

    def show_class(self, class_index: int) -> None:
        """Show the probability of a class."""
        found = self.found
        if found is not None and found.shown_class != class_index:
            found.shown_class = class_index
            found.refresh(self.controller.viewer)
            self.controller.changed.emit()

    @explained
    def filter(self, folder: Path) -> None:
        """Drop what a filter for false positives takes for false, and show what is left."""
        desk, found = self.controller, self._needed_result()
        desk.start(
            FILTERING,
            lambda handle: work.filter_found(handle, found, folder),
            JobCallbacks(
                done=lambda result: self._filtered(found, *result),
                failed=lambda error: desk.tell(str(error), show_error),
            ),
            unit="block",
        )

    def _filtered(self, found: Found, left: FilteredLabels, sentence: str) -> None:
        found.filtered = left
        found.refresh_labels(self.controller.viewer)
        self.moved.emit()
        self.controller.tell(sentence, show_info)

    @explained
    def write(self, path: Path) -> None:
        """Write what was found: ``.zarr`` as a prediction, else outlines for QuPath."""
        desk, found = self.controller, self._needed_result()
        desk.start(
            WRITING,
            lambda handle: work.write_found(handle, found, path),
            JobCallbacks(
                done=lambda said: desk.tell(said, show_info),
                failed=lambda error: desk.tell(str(error), show_error),
            ),
            unit="block",
        )

    def _needed_result(self) -> Found:
        self.controller.refuse(self.why_no_result())
        found = self.found
        if found is None:
            raise HistoaugError("Nothing was found yet: click Find vessels.")
        return found

    # ---- life ----------------------------------------------------------------------------------

    def forget_closed(self) -> None:
        """Let go of what was found on slides that are not shown any more."""
        desk = self.controller
        shown = {id(session_of(layer)) for layer in desk.viewer.layers}
        for found in list(self._found):
            if id(found.session) in shown:
                continue
            if self.running:
                # its thread may still write there; the files go with the last who knows them
                desk.cancel()
                self._found.remove(found)
            else:
                self._forget(found.session)

    def close(self) -> None:
        """Delete all temporary files."""
        for found in list(self._found):
            self._forget(found.session)

    def _forget(self, session: SlideSession) -> None:
        """Take the earlier result of a slide away, with its layers."""
        viewer = self.controller.viewer
        for found in [each for each in self._found if each.session is session]:
            self._found.remove(found)
            for layer in found.layers:
                if layer in viewer.layers:
                    viewer.layers.remove(layer)
            found.close()
