"""The canvases and outline layers of a viewer, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_histoaug.gui import outlines
from napari_histoaug.gui.canvas import CANVAS_LIMIT, PaintCanvas, add_canvas
from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.holes import Drawing

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Shapes

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for one class at the moment of a click, and where it came from."""

    drawings: Sequence[Drawing]
    slide_layer: Image
    value: int
    outline_layer: Shapes | None
    outline_indices: Sequence[int]


class Painting:
    """Keeps the canvases (strokes) and outline layers (polygons) of each slide layer.

    Attributes
    ----------
    canvas : PaintCanvas or None
        The canvas whose strokes count: the one made or selected last.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._canvases: list[PaintCanvas] = []
        self._outlines: list[tuple[Shapes, Image]] = []
        self.canvas: PaintCanvas | None = None

    def add_canvas(
        self,
        slide_layer: Image,
        session: SlideSession,
        classes: ClassTable,
        value: int,
        limit: int = CANVAS_LIMIT,
    ) -> PaintCanvas:
        """A new canvas over the view; bare older ones go, those with strokes stay."""
        for bare in [c for c in self._canvases if c.is_bare]:
            self._viewer.layers.remove(bare.layer)
        canvas = add_canvas(self._viewer, slide_layer, session, classes, value, limit)
        self._canvases.append(canvas)
        self.canvas = canvas
        return canvas

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

    def canvas_of(self, layer: Layer | None) -> PaintCanvas | None:
        """The canvas that this layer is, or None."""
        return next((canvas for canvas in self._canvases if canvas.layer is layer), None)

    def use_slide(self, slide_layer: Image | None) -> None:
        """Make the newest canvas of a slide the one that counts."""
        mine = [canvas for canvas in self._canvases if canvas.slide_layer is slide_layer]
        self.canvas = mine[-1] if mine else None

    def forget_removed(self) -> None:
        """Drop what the user took out of the layer list."""
        layers = self._viewer.layers
        self._canvases = [c for c in self._canvases if c.layer in layers]
        self._outlines = [(shapes, slide) for shapes, slide in self._outlines if shapes in layers]
        if self.canvas is not None and self.canvas not in self._canvases:
            self.use_slide(self.canvas.slide_layer)

    def snapshot(self, slide_layer: Image, value: int) -> Drawn:
        """What is drawn for a class now: the canvas's strokes and the chosen outlines."""
        drawings: list[Drawing] = []
        if self.canvas is not None:
            drawings.append(self.canvas.drawing(value))
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
        for canvas in self._canvases:
            if canvas.slide_layer is drawn.slide_layer:
                for box in boxes:
                    canvas.erase(drawn.value, box)
        layer = drawn.outline_layer
        if layer is not None and layer in self._viewer.layers:
            outlines.mark_used(layer, drawn.outline_indices)
