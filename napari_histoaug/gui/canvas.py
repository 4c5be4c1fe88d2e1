"""The canvas: a small editable Labels layer exactly over a part of the slide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import (
    Box,
    Pair,
    choose_level,
    intersect,
    origin_of,
    placement,
    view_box,
)
from napari_histoaug.gui.holes import PaintedMask

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession

CANVAS_LIMIT = 2048
"""Longest side of a canvas, in its own pixels: a brush stamp stays below a millisecond."""
BRUSH_ON_SCREEN = 24
"""Brush diameter in screen pixels when a canvas is made."""


@dataclass(eq=False)
class PaintCanvas:
    """A Labels layer and where it lies.

    Attributes
    ----------
    layer : Labels
        uint8, class values of the class table; 0 is bare.
    slide_layer : Image
        The slide it was made for.
    box : (y, x, height, width)
        Level-0 pixels.
    downsample : (dy, dx)
        Level-0 pixels per canvas pixel.
    """

    layer: Labels
    slide_layer: Image
    box: Box
    downsample: Pair

    def drawing(self, value: int) -> PaintedMask:
        """A copy of the strokes of one class."""
        return PaintedMask(
            np.asarray(self.layer.data) == value, (self.box[0], self.box[1]), self.downsample
        )

    @property
    def is_bare(self) -> bool:
        """Nothing is painted."""
        return not np.any(self.layer.data)

    def erase(self, value: int, box: Box) -> None:
        """Remove the strokes of a class inside a level-0 box, as one step of the layer's undo."""
        rows = self._cells(0, box)
        columns = self._cells(1, box)
        found = np.nonzero(np.asarray(self.layer.data)[rows, columns] == value)
        if found[0].size:
            with self.layer.block_history():
                self.layer.data_setitem((found[0] + rows.start, found[1] + columns.start), 0)

    def _cells(self, axis: int, box: Box) -> slice:
        step, size = self.downsample[axis], self.layer.data.shape[axis]
        low = int(np.floor((box[axis] - self.box[axis]) / step))
        high = int(np.ceil((box[axis] + box[axis + 2] - self.box[axis]) / step))
        return slice(min(max(low, 0), size), min(max(high, 0), size))


def current_view(viewer: ViewerModel, slide_layer: Image, session: SlideSession) -> Box:
    """The level-0 box that the viewer shows of a slide.

    Raises
    ------
    HistoaugError
        When no part of the slide is in view.
    """
    origin = origin_of(slide_layer)
    center = [at - zero for at, zero in zip(viewer.camera.center[-2:], origin, strict=True)]
    canvas = getattr(viewer, "canvas", None)
    size = viewer._canvas_size if canvas is None else canvas.size
    shown = view_box(
        (float(center[0]), float(center[1])), float(viewer.camera.zoom), size, session.scale
    )
    box = intersect(shown, (0, 0, *session.shape))
    if box is None:
        raise HistoaugError(
            "The slide is not in view: press the home button of napari, then click Paint here."
        )
    return box


def add_canvas(
    viewer: ViewerModel,
    slide_layer: Image,
    session: SlideSession,
    classes: ClassTable,
    value: int,
    limit: int = CANVAS_LIMIT,
) -> PaintCanvas:
    """Put an empty canvas over the view, ready to paint.

    Level-0 pixels when the view fits into ``limit``, else those of the finest level that fits.
    """
    box = current_view(viewer, slide_layer, session)
    downsample = session.downsamples[choose_level(box, session.downsamples, limit)]
    shape = tuple(
        min(limit, int(np.ceil(size / step)))
        for size, step in zip(box[2:], downsample, strict=True)
    )
    scale, translate = placement(box, downsample, session.scale, origin_of(slide_layer))
    layer = viewer.add_labels(
        np.zeros(shape, np.uint8),
        name=f"{session.slide.name} mask",
        scale=scale,
        translate=translate,
        units=session.units,
        axis_labels=("y", "x"),
        opacity=0.6,
        colormap=class_colormap(classes.colors),
    )
    layer.selected_label = value
    layer.brush_size = brush_size(float(viewer.camera.zoom), scale)
    layer.mode = "paint"
    _outline(layer)
    viewer.layers.selection.active = layer
    return PaintCanvas(layer, slide_layer, box, downsample)


def _outline(layer: Labels) -> None:
    """Show where the canvas ends, where napari can."""
    frame = getattr(layer, "bounding_box", None)
    if frame is not None:
        frame.points = False
        frame.line_thickness = 1
        frame.visible = True


def brush_size(zoom: float, scale: Pair) -> int:
    """Canvas pixels of a brush that is :data:`BRUSH_ON_SCREEN` wide on the screen."""
    return int(np.clip(round(BRUSH_ON_SCREEN / (zoom * max(scale))), 1, 200))


def class_colormap(colors: Sequence[tuple[int, int, int]]) -> DirectLabelColormap:
    """Colours of the class values 1, 2, ...; everything else is transparent."""
    clear = np.zeros(4)
    table: dict[int | None, np.ndarray] = {None: clear, 0: clear}
    for value, color in enumerate(colors, start=1):
        table[value] = np.array([*color, 255]) / 255
    return DirectLabelColormap(color_dict=defaultdict(lambda: clear, table))
