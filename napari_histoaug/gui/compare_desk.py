"""The state behind *Find and compare*: which slide, what was found, how it compares.

No widgets here; see :mod:`napari_histoaug.gui.controller` for the conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_reader import slide_below
from napari_histoaug.gui.canvas import current_view
from napari_histoaug.gui.compare_actions import Keys
from napari_histoaug.gui.comparing import Comparing
from napari_histoaug.gui.correcting import Correcting
from napari_histoaug.gui.figures import LiveFigures
from napari_histoaug.gui.finding import Finding
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.reasons import NO_SLIDE
from napari_histoaug.gui.region import Region
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.slide_desk import SlideDesk

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.gui.geometry import Box


class CompareDesk(SlideDesk):
    """Everything that *Find and compare* can do, and what stands in the way.

    Parameters
    ----------
    viewer : ViewerModel
    load_segmenter : callable, optional
        Stands in for :func:`napari_histoaug.segmentation.load_segmenter`.

    Attributes
    ----------
    finding : Finding
        Finding vessels.
    comparing : Comparing
        Truth against prediction.
    correcting : Correcting
        Corrections of the truth.
    figures : LiveFigures
        Figures of what is in view and of the region.
    region : Region
        The rectangle drawn on the slide.
    """

    def __init__(
        self, viewer: ViewerModel, load_segmenter: Callable[..., Any] | None = None
    ) -> None:
        super().__init__(viewer)
        viewer = self.viewer
        self.region = Region(viewer)
        self.region.changed.connect(self.changed.emit)
        self.finding: Finding = Finding(self, load_segmenter)
        self.comparing: Comparing = Comparing(self)
        self.correcting: Correcting = Correcting(self)
        self.figures: LiveFigures = LiveFigures(self)
        self._keys = Keys(self)
        self.finding.moved.connect(self.comparing.outdate)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_layers)
        self._on_layers()

    # ---- what stands in the way ----------------------------------------------------------------

    def why_not_slide(self) -> str | None:
        """Why nothing can be done on a slide, or None."""
        return NO_SLIDE if self.session is None else None

    def why_not_busy(self) -> str | None:
        """Why no other job can be started, or None."""
        return None if self.job is None else f"Busy: {self.job.name}."

    # ---- region --------------------------------------------------------------------------------

    @explained
    def draw_region(self) -> None:
        """Take the tool that draws the region."""
        self.region.draw(*self.needed_slide())

    def region_box(self) -> Box | None:
        """Level-0 pixels of the region on the slide worked on, or None."""
        layer, session = self._slide_layer, self.session
        if layer is None or session is None:
            return None
        return self.region.box(layer, session)

    def view_box(self, slide_layer: Image) -> Box | None:
        """Level-0 pixels of a slide that are in view, or None."""
        session = session_of(slide_layer)
        if session is None:
            return None
        try:
            return current_view(self.viewer, slide_layer, session)
        except HistoaugError:
            return None

    # ---- life ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop all work and wait until its threads have ended."""
        self.figures.stop()
        super().stop()

    def close(self) -> None:
        """Stop the job and let go of the viewer. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self._keys.close()
        self.figures.close()
        self.correcting.close()
        self.region.close()
        self.viewer.layers.events.inserted.disconnect(self._on_layers)
        self.viewer.layers.events.removed.disconnect(self._on_layers)
        self.viewer.layers.selection.events.active.disconnect(self._on_layers)
        self.finding.close()

    def _on_layers(self, event: Any = None) -> None:
        """A slide that is selected is worked on; otherwise the one before, while it is shown."""
        viewer = self.viewer
        active = viewer.layers.selection.active
        if session_of(active) is not None or self._slide_layer not in viewer.layers:
            self._slide_layer = slide_below(viewer)
        self.finding.forget_closed()
        self.comparing.forget_removed()
        self.changed.emit()
