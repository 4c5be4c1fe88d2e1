"""A visit to a slide: what is painted on it, the canvas over the view, and undo across canvases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_histoaug.gui.canvas import PaintCanvas, add_canvas_layer, current_view
from napari_histoaug.gui.geometry import Box, Window, contains, window_over
from napari_histoaug.gui.ground import Ground, ground_around
from napari_histoaug.gui.painted import PaintedLayer
from napari_histoaug.masks.history import StrokeHistory
from napari_histoaug.masks.pieces import FrozenMask
from napari_histoaug.masks.store import MaskStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.holes import Drawing
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.masks.store import Change


class Visit:
    """Painting on one slide layer.

    Parameters
    ----------
    viewer : ViewerModel
    slide_layer : Image
    session : SlideSession
    classes : ClassTable

    Attributes
    ----------
    store : MaskStore
        What was ever painted on this slide.
    history : StrokeHistory
        The strokes of this visit.
    canvas : PaintCanvas or None

    Raises
    ------
    HistoaugError
        When what was painted earlier cannot be read.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, slide_layer: Image, session: SlideSession, classes: ClassTable
    ) -> None:
        from napari_histoaug.edits.location import painted_mask

        self._viewer = viewer
        self.slide_layer = slide_layer
        self.session = session
        self._classes = classes
        self.store = MaskStore(
            painted_mask(session.slide), session.shape, classes.names, session.slide.mpp
        )
        self.history = StrokeHistory(self.store)
        self.canvas: PaintCanvas | None = None
        self._painted: PaintedLayer | None = None
        self._ground: tuple[Window, Ground] | None = None

    def show_painted(self) -> None:
        """Show what is painted beyond the canvas, in a layer of its own."""
        if self._painted is None or not self._painted.is_shown:
            self._painted = PaintedLayer(
                self._viewer,
                self.slide_layer,
                self.session,
                self.store,
                self._classes,
                lambda: None if self.canvas is None else self.canvas.box,
            )

    def paint_here(self, value: int, limit: int) -> PaintCanvas:
        """Bring the canvas over the view, ready to paint; made when there is none.

        Raises
        ------
        HistoaugError
            When the slide is not in view, or strokes cannot be saved.
        """
        view = current_view(self._viewer, self.slide_layer, self.session)
        window = window_over(view, self.store.shapes, limit)
        if self.canvas is None:
            self.show_painted()
            layer = add_canvas_layer(self._viewer, self.session, self._classes, value)
            self.canvas = PaintCanvas(layer, self.slide_layer, self.session, self.store, window)
            self._refresh_painted()
        else:
            self._viewer.layers.selection.active = self.canvas.layer
            self._move(self.canvas, view, limit)
        return self.canvas

    def follow(self, limit: int) -> bool:
        """Bring the canvas over the view where it is not; return whether it moved.

        Raises
        ------
        HistoaugError
            When the slide is not in view, or strokes cannot be saved.
        """
        if self.canvas is None:
            return False
        view = current_view(self._viewer, self.slide_layer, self.session)
        return self._move(self.canvas, view, limit)

    def _move(self, canvas: PaintCanvas, view: Box, limit: int) -> bool:
        window = window_over(view, self.store.shapes, limit)
        if canvas.window.level == window.level and contains(canvas.box, view):
            return False
        canvas.save(self.history)
        canvas.move(window)
        self._refresh_painted()
        self.changed.emit()
        return True

    def ground(self, canvas: PaintCanvas) -> Ground:
        """The tissue under a canvas and around it; looked at once as long as it does not move."""
        if self._ground is None or self._ground[0] != canvas.window:
            self._ground = canvas.window, ground_around(self.session, canvas.box)
        return self._ground[1]

    def save(self) -> Change | None:
        """Write the strokes that are not saved yet.

        Raises
        ------
        MaskError
            When they cannot be written.
        """
        return None if self.canvas is None else self.canvas.save(self.history)

    def undo(self) -> Change | None:
        """Take the last stroke of this visit back, wherever it was painted; return what changed.

        Raises
        ------
        MaskError
            When that cannot be written.
        """
        self.save()
        return self._shown(self.history.undo())

    def redo(self) -> Change | None:
        """Put the stroke that was taken back last in place again; return what changed.

        Raises
        ------
        MaskError
            When that cannot be written.
        """
        self.save()
        return self._shown(self.history.redo())

    def drawing(self, value: int) -> FrozenMask:
        """Freeze the strokes of a class, on the canvas or not."""
        self.save()
        return FrozenMask.of(self.store, value)

    def erase(self, drawings: Sequence[Drawing], value: int, boxes: Sequence[Box]) -> None:
        """Erase what was drawn of a class inside some level-0 boxes, each one step of undo."""
        self.save()
        for box in boxes:
            painted = self.store.read(0, box)
            for drawing in drawings:
                used = drawing.fill(box) & (painted == value)
                painted[used] = 0
            self.history.add(self.store.write(0, box, painted, painted != self.store.read(0, box)))
        self._shown(None)

    def forget_removed(self) -> None:
        """Let go of the canvas when the user took it out of the layer list; strokes are kept."""
        if self.canvas is not None and self.canvas.layer not in self._viewer.layers:
            canvas, self.canvas = self.canvas, None
            canvas.save(self.history)
            self._refresh_painted()

    def _shown(self, change: Change | None) -> Change | None:
        if self.canvas is not None:
            self.canvas.reload()
        self._refresh_painted()
        self.changed.emit()
        return change

    def _refresh_painted(self) -> None:
        if self._painted is not None:
            self._painted.refresh()
