"""A warning over the picture wherever generated pixels are in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.canvas import current_view
from napari_histoaug.gui.geometry import Box, intersect
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.warning_color import warning_color

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller

WARNING = "Contains synthetic tissue"
COOLING_MILLISECONDS = 500


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
        self._is_warm = self._boxed = False
        self._cooling = QTimer()
        self._cooling.setSingleShot(True)
        self._cooling.timeout.connect(self._cool)
        self._events = controller.viewer.camera.events
        for event in (self._events.center, self._events.zoom):
            event.connect(self.update)
        controller.changed.connect(self.update)
        controller.viewer.events.theme.connect(self._recolor)

    def warm_up(self) -> None:
        """Have the letters made before they are needed: the first time, they stop the window."""
        overlay = self._overlay()
        if not self._is_warm and not overlay.visible:
            self._is_warm = True
            self._dress(overlay)
            self._boxed = getattr(overlay, "box", False)
            if self._boxed:
                overlay.box = False
            overlay.opacity, overlay.visible = 0.0, True
            self._cooling.start(COOLING_MILLISECONDS)

    def _cool(self) -> None:
        overlay = self._overlay()
        overlay.opacity, overlay.visible = 1.0, self.shown
        if self._boxed:
            overlay.box = True

    def _dress(self, overlay: Any) -> None:
        overlay.text, overlay.font_size, overlay.position = WARNING, 12, "top_right"
        overlay.color = warning_color(self._controller.viewer)

    def close(self) -> None:
        """Stop watching."""
        self._cooling.stop()
        for event in (self._events.center, self._events.zoom):
            event.disconnect(self.update)
        self._controller.changed.disconnect(self.update)
        self._controller.viewer.events.theme.disconnect(self._recolor)

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

    def _recolor(self, event: Any = None) -> None:
        if self.shown:
            self._overlay().color = warning_color(self._controller.viewer)

    def _write(self) -> None:
        overlay = self._overlay()
        if self.shown and not overlay.visible:
            self._dress(overlay)
            overlay.visible = True
        elif not self.shown and overlay.text == WARNING:
            overlay.visible = False

    def _overlay(self) -> Any:
        viewer = self._controller.viewer
        canvas = getattr(viewer, "canvas", None)
        # before napari 0.9 the viewer itself held the overlay
        return viewer.text_overlay if canvas is None else canvas.overlays.text
