"""A warning over the picture wherever generated pixels are in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.canvas import current_view
from napari_histoaug.gui.geometry import Box, intersect
from napari_histoaug.gui.session import SlideSession, session_of

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller

WARNING = "Contains synthetic tissue"
COLOR = (0.92, 0.5, 0.08, 1.0)  # seen on the box of the dark and of the light theme


def shows_synthetic(session: SlideSession, view: Box) -> bool:
    """Whether an accepted edit changed a pixel of a level-0 box."""
    for record in session.edits.edits:
        common = intersect(record.box, view)
        if common is not None and session.edits.synthetic(*common).any():
            return True
    return False


class SyntheticMark:
    """Writes :data:`WARNING` into the viewer's text overlay, and takes it away again.

    Attributes
    ----------
    shown : bool
        Generated pixels are in view.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.shown = False
        self._events = controller.viewer.camera.events
        for event in (self._events.center, self._events.zoom):
            event.connect(self.update)
        controller.changed.connect(self.update)

    def close(self) -> None:
        """Stop watching."""
        for event in (self._events.center, self._events.zoom):
            event.disconnect(self.update)
        self._controller.changed.disconnect(self.update)

    def update(self, event: Any = None) -> None:
        """Look at the view anew."""
        shown = self._in_view()
        if shown != self.shown:
            self.shown = shown
            self._write()

    def _in_view(self) -> bool:
        controller = self._controller
        if controller.proposal is not None and controller.reviewing.opacity > 0:
            return True
        for layer in controller.slide_layers:
            session = session_of(layer)
            if not layer.visible or session is None or not session.edits.edits:
                continue
            try:
                view = current_view(controller.viewer, layer, session)
                if shows_synthetic(session, view):
                    return True
            except HistoaugError:  # out of view, or its pixels cannot be read
                continue
        return False

    def _write(self) -> None:
        viewer = self._controller.viewer
        canvas = getattr(viewer, "canvas", None)
        # before napari 0.9 the viewer itself held the overlay
        overlay = viewer.text_overlay if canvas is None else canvas.overlays.text
        if self.shown and not overlay.visible:
            overlay.text, overlay.color, overlay.font_size = WARNING, COLOR, 12
            overlay.position = "top_right"
            overlay.visible = True
        elif not self.shown and overlay.text == WARNING:
            overlay.visible = False
