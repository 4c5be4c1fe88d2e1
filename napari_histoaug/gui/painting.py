"""The painting in a viewer: a visit for every slide painted on, and the outline layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app_model.types import KeyCode, KeyMod
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import outlines
from napari_histoaug.gui.brush import BrushSizes
from napari_histoaug.gui.canvas import CANVAS_LIMIT, PaintCanvas
from napari_histoaug.gui.following import ViewFollower
from napari_histoaug.gui.geometry import Box, intersect
from napari_histoaug.gui.ground import leave_glass_out
from napari_histoaug.gui.holes import Drawing
from napari_histoaug.gui.tools import Toolbox
from napari_histoaug.gui.visit import Visit

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer, Shapes

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.masks.store import Change

UNDO = KeyMod.CtrlCmd | KeyCode.KeyZ
REDO = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ
TOOL_KEYS = {"lasso": "Shift-L", "wand": "Shift-W", "vessel": "Shift-S"}
"""Of the tools that napari does not have; it has keys for the others."""
ON_GLASS = (
    "What was painted on the glass was left out; to paint there, switch off Keep to the tissue "
    "under Advanced."
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for one class at the moment of a click, and where it came from."""

    drawings: Sequence[Drawing]
    slide_layer: Image
    value: int
    outline_layer: Shapes | None
    outline_indices: Sequence[int]


class Painting:
    """Strokes and polygons of each slide layer.

    Parameters
    ----------
    viewer : ViewerModel
    tell : callable
        Shows a sentence to the user.

    Attributes
    ----------
    visit : Visit or None
        That of the slide worked on, once something is or was painted there.
    sizes : BrushSizes
        Of brush and eraser, for all canvases.
    toolbox : Toolbox
        The tool in the hand, for all canvases.
    follows : bool
        The canvas follows the view.
    limit : int
        Longest side of a canvas in its own pixels.
    changed : psygnal.Signal
        A stroke was painted, taken back or put in place again, or the canvas moved.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, tell: Callable[[str], None]) -> None:
        self._viewer = viewer
        self._tell = tell
        self._visits: list[Visit] = []
        self._outlines: list[tuple[Shapes, Image]] = []
        self._slide_layer: Image | None = None
        self._closed = False
        self.sizes = BrushSizes()
        self.toolbox = Toolbox(tell)
        self.follows = True
        self.limit = CANVAS_LIMIT
        self._follower = ViewFollower(viewer, self._fit_brush, self._rested)

    # ---- strokes -------------------------------------------------------------------------------

    @property
    def visit(self) -> Visit | None:
        """The visit to the slide worked on."""
        return self._visit_of(self._slide_layer)

    @property
    def canvas(self) -> PaintCanvas | None:
        """The canvas of the slide worked on."""
        return None if self.visit is None else self.visit.canvas

    def paint_here(
        self, slide_layer: Image, session: SlideSession, classes: ClassTable, value: int
    ) -> PaintCanvas:
        """Bring the canvas of a slide over the view and take the brush.

        Raises
        ------
        HistoaugError
            When the slide is not in view, or earlier strokes cannot be read.
        """
        visit = self._visit_of(slide_layer) or self._begin(slide_layer, session, classes)
        is_new = visit.canvas is None
        visit.store.use_classes(classes.names)
        canvas = visit.paint_here(value, self.limit)
        if is_new:
            self._listen(visit, canvas)
            self.toolbox.choose(self.toolbox.tool or "brush", canvas.layer)
        self.sizes.apply(canvas.layer, self._zoom)
        if self._careful(visit):
            visit.ground(canvas)
        return canvas

    def show_earlier(self, slide_layer: Image, session: SlideSession, classes: ClassTable) -> None:
        """Show what was painted on a slide on an earlier visit, if anything was; in a moment.

        Not at once: napari may be in the middle of adding the slide's layer.
        """
        from napari_histoaug.edits.location import painted_mask

        if self._visit_of(slide_layer) is None and painted_mask(session.slide).is_dir():
            QTimer.singleShot(0, lambda: self._show_earlier(slide_layer, session, classes))

    def _show_earlier(self, slide_layer: Image, session: SlideSession, classes: ClassTable) -> None:
        if self._closed or slide_layer not in self._viewer.layers:
            return
        try:
            visit = self._visit_of(slide_layer) or self._begin(slide_layer, session, classes)
        except HistoaugError as error:
            self._tell(str(error))
            return
        visit.show_painted()
        self.changed.emit()

    @property
    def can_undo(self) -> bool:
        """Whether a stroke of this visit can be taken back."""
        return self.visit is not None and self.visit.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a stroke can be put in place again."""
        return self.visit is not None and self.visit.history.can_redo

    def undo(self) -> None:
        """Take the last stroke of the visit back, also one painted before the canvas moved."""
        self._step(Visit.undo, "A stroke outside of the view was taken back.")

    def redo(self) -> None:
        """Put the stroke that was taken back last in place again."""
        self._step(Visit.redo, "A stroke outside of the view was put in place again.")

    def _step(self, move: Callable[[Visit], Change | None], away: str) -> None:
        visit = self.visit
        if visit is None:
            return
        try:
            change = move(visit)
        except HistoaugError as error:
            self._tell(str(error))
            return
        canvas = visit.canvas
        if change is not None and canvas and intersect(change.box, canvas.box) is None:
            self._viewer.status = away

    def choose_tool(self, tool: str) -> None:
        """Take a tool into the hand; the canvas is selected, so that it works at once."""
        canvas = self.canvas
        self.toolbox.choose(tool, None if canvas is None else canvas.layer)
        if canvas is not None:
            self._viewer.layers.selection.active = canvas.layer
        self._fit_brush()
        self.changed.emit()

    def set_brush_on_screen(self, on_screen: bool) -> None:
        """Let brush and eraser keep their size on the screen while zooming, or on the tissue."""
        self.sizes.set_on_screen(on_screen, self._zoom)
        self._fit_brush()

    def set_size(self, size: float) -> None:
        """Make the brush, or the eraser when that is in the hand, this wide."""
        if self.toolbox.tool == "eraser":
            self.sizes.eraser = size
        else:
            self.sizes.brush = size
        self._fit_brush()

    # ---- outlines ------------------------------------------------------------------------------

    def draw_outlines(
        self, slide_layer: Image, session: SlideSession, color: tuple[int, int, int]
    ) -> Shapes:
        """Select the outline layer of a slide, made when there is none, in polygon mode."""
        layer = self.outlines_of(slide_layer)
        if layer is None:
            layer = outlines.add_outlines(self._viewer, slide_layer, session, color)
            self._outlines.append((layer, slide_layer))
        layer.mode = "add_polygon"
        self._viewer.layers.selection.active = layer
        return layer

    def outlines_of(self, slide_layer: Image | None) -> Shapes | None:
        """The outline layer of a slide, or None."""
        return next((shapes for shapes, slide in self._outlines if slide is slide_layer), None)

    # ---- both ----------------------------------------------------------------------------------

    def canvas_of(self, layer: Layer | None) -> PaintCanvas | None:
        """The canvas that this layer is, or None."""
        canvases = (visit.canvas for visit in self._visits)
        return next((c for c in canvases if c is not None and c.layer is layer), None)

    def use_slide(self, slide_layer: Image | None) -> None:
        """Work on this slide from now on."""
        self._slide_layer = slide_layer

    def forget_removed(self) -> None:
        """Drop what the user took out of the layer list."""
        layers = self._viewer.layers
        for visit in self._visits:
            visit.forget_removed()
        self._visits = [visit for visit in self._visits if visit.slide_layer in layers]
        self._outlines = [(shapes, slide) for shapes, slide in self._outlines if shapes in layers]

    def snapshot(self, slide_layer: Image, value: int) -> Drawn:
        """What is drawn for a class now: the strokes on the slide and the chosen outlines."""
        drawings: list[Drawing] = []
        visit = self._visit_of(slide_layer)
        if visit is not None:
            drawings.append(visit.drawing(value))
        layer = self.outlines_of(slide_layer)
        indices = outlines.chosen(layer) if layer is not None else []
        if layer is not None and indices:
            drawings.append(outlines.drawing(layer, indices))
        return Drawn(drawings, slide_layer, value, layer, indices)

    def consume(self, drawn: Drawn, boxes: Sequence[Box]) -> None:
        """After acceptance: erase the strokes that were filled, mark the outlines as used.

        Strokes left standing would hide the new vessel and be filled again by the next click;
        Ctrl+Z in the canvas brings them back. Outlines stay, because they may be annotations.
        """
        visit = self._visit_of(drawn.slide_layer)
        if visit is not None:
            visit.erase(drawn.drawings, drawn.value, boxes)
        layer = drawn.outline_layer
        if layer is not None and layer in self._viewer.layers:
            outlines.mark_used(layer, drawn.outline_indices)

    def close(self) -> None:
        """Save the strokes and watch the view no more."""
        self._closed = True
        self._follower.close()
        for visit in self._visits:
            self._save(visit)

    # ---- events --------------------------------------------------------------------------------

    def _visit_of(self, slide_layer: Image | None) -> Visit | None:
        return next((v for v in self._visits if v.slide_layer is slide_layer), None)

    def _begin(self, slide_layer: Image, session: SlideSession, classes: ClassTable) -> Visit:
        visit = Visit(self._viewer, slide_layer, session, classes)
        visit.changed.connect(self.changed.emit)
        self._visits.append(visit)
        return visit

    def _listen(self, visit: Visit, canvas: PaintCanvas) -> None:
        layer = canvas.layer
        layer.events.paint.connect(lambda event: self._on_stroke(visit))
        layer.events.mode.connect(lambda event: self._on_mode(layer))
        layer.events.brush_size.connect(lambda event: self._on_brush_size(layer))
        layer.bind_key(UNDO, lambda layer: self.undo(), overwrite=True)
        layer.bind_key(REDO, lambda layer: self.redo(), overwrite=True)
        for tool, key in TOOL_KEYS.items():
            layer.bind_key(key, functools.partial(self._take, tool), overwrite=True)
        self.toolbox.attend(visit, canvas)

    def _take(self, tool: str, layer: Labels) -> None:
        self.choose_tool(tool)

    def _on_stroke(self, visit: Visit) -> None:
        """Keep a stroke that has ended; again in a moment, since napari tells some too early."""
        self._keep(visit)
        QTimer.singleShot(0, lambda: self._keep(visit))

    def _keep(self, visit: Visit) -> None:
        """Save the stroke that just ended, without what lies on the glass."""
        canvas = visit.canvas
        try:
            painted = canvas is not None and self._careful(visit) and canvas.unsaved().any()
            if canvas and painted and leave_glass_out(visit.ground(canvas), canvas):
                self._tell(ON_GLASS)
        except HistoaugError as error:  # the slide cannot be read any more
            self._tell(str(error))
        self._save(visit)

    def _careful(self, visit: Visit) -> bool:
        return self.toolbox.settings.keep_to_tissue and not visit.session.rough

    def _on_mode(self, layer: Labels) -> None:
        if self.toolbox.learn(layer):
            self.changed.emit()
        self._fit_brush()

    def _save(self, visit: Visit) -> None:
        try:
            if visit.save() is not None:
                self.changed.emit()
        except HistoaugError as error:
            self._tell(str(error))

    def _on_brush_size(self, layer: Labels) -> None:
        if self.sizes.learn(layer, self._zoom):
            self.changed.emit()

    @property
    def _zoom(self) -> float:
        return float(self._viewer.camera.zoom)

    def _fit_brush(self, event: Any = None) -> None:
        if self.canvas is not None:
            self.sizes.apply(self.canvas.layer, self._zoom)

    def _rested(self) -> bool:
        """Let the canvas follow the view; False when a stroke is under way."""
        visit = self.visit
        if not self.follows or visit is None or visit.canvas is None:
            return True
        if visit.canvas.is_drawing:
            return False
        try:
            visit.follow(self.limit)
            if self._careful(visit):
                visit.ground(visit.canvas)  # now, so that the next stroke does not wait for it
        except HistoaugError:
            return True  # the slide is not in view; or told when the stroke could not be saved
        self._fit_brush()
        return True
