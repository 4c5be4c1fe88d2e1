"""The canvas: a small editable Labels layer, exactly over a window into the mask store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import (
    Box,
    Pair,
    Window,
    intersect,
    origin_of,
    placement,
    view_box,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.masks.history import StrokeHistory
    from napari_histoaug.masks.store import Change, MaskStore

CANVAS_LIMIT = 2048
"""Longest side of a canvas, in its own pixels: a brush stamp stays below a millisecond."""


class PaintCanvas:
    """A Labels layer that edits a window of the mask store, and can move.

    Parameters
    ----------
    layer : Labels
        uint8, class values of the class table; 0 is bare. Of any size: the canvas fills it.
    slide_layer : Image
        The slide it was made for.
    session : SlideSession
    store : MaskStore
    window : Window
        Where it starts.
    """

    def __init__(
        self,
        layer: Labels,
        slide_layer: Image,
        session: SlideSession,
        store: MaskStore,
        window: Window,
    ) -> None:
        self.layer = layer
        self.slide_layer = slide_layer
        self._session = session
        self._store = store
        self.window = window
        self._saved = np.zeros((0, 0), np.uint8)
        self.move(window)

    @property
    def box(self) -> Box:
        """Level-0 pixels it covers."""
        return self.window.level_0

    @property
    def downsample(self) -> Pair:
        """Level-0 pixels (dy, dx) per canvas pixel."""
        return self.window.step, self.window.step

    @property
    def is_drawing(self) -> bool:
        """A stroke or a polygon is under way, so that the canvas must not move."""
        # napari tells neither publicly
        polygon = getattr(self.layer, "_overlays", {}).get("polygon")
        corners = getattr(polygon, "points", ())
        return bool(getattr(self.layer, "_block_history", False)) or len(corners) > 0

    @contextmanager
    def stroke(self) -> Iterator[np.ndarray]:
        """Give the pixels to paint in; shown and told as one stroke at the end."""
        pixels = np.array(self.layer.data)
        yield pixels
        changed = np.nonzero(pixels != self.layer.data)
        if changed[0].size:
            with self.layer.block_history():
                self.layer.data_setitem(changed, pixels[changed])

    def unsaved(self) -> np.ndarray:
        """Bool (height, width): the pixels painted since they were saved last."""
        return np.asarray(self.layer.data) != self._saved

    def revert(self, region: tuple[slice, slice], which: np.ndarray) -> None:
        """Take back unsaved pixels: those of a region where `which` is True."""
        self.layer.data[region][which] = self._saved[region][which]
        self.layer.refresh()

    def save(self, history: StrokeHistory) -> Change | None:
        """Write what is not saved yet to the store, as one step of the history.

        Raises
        ------
        MaskError
            When it cannot be written; the strokes stay on the canvas.
        """
        changed = self.unsaved()
        if not changed.any():
            return None
        pixels = np.asarray(self.layer.data)
        change = self._store.write(self.window.level, self.window.box, pixels, changed)
        history.add(change)
        np.copyto(self._saved, pixels)
        return change

    def move(self, window: Window) -> None:
        """Open another window of the store; whatever is not saved is lost."""
        self.window = window
        self.reload()
        scale, translate = placement(
            window.level_0, self.downsample, self._session.scale, origin_of(self.slide_layer)
        )
        self.layer.scale, self.layer.translate = scale, translate

    def reload(self) -> None:
        """Show what the store holds."""
        self._saved = self._store.read(self.window.level, self.window.box)
        self.layer.data = self._saved.copy()
        # napari's own undo would now write into other places
        if hasattr(self.layer, "_reset_history"):
            self.layer._reset_history()


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
            "The slide is not in view: press the home button of napari, then try again."
        )
    return box


def add_canvas_layer(
    viewer: ViewerModel, session: SlideSession, classes: ClassTable, value: int
) -> Labels:
    """Add an editable layer for a canvas to the viewer, with the brush in the hand."""
    layer = viewer.add_labels(
        np.zeros((1, 1), np.uint8),
        name=f"{session.slide.name} mask",
        scale=session.scale,
        units=session.units,
        axis_labels=("y", "x"),
        opacity=0.6,
        colormap=class_colormap(classes.colors),
    )
    layer.selected_label = value
    layer.mode = "paint"
    _outline(layer)
    viewer.layers.selection.active = layer
    return layer


def _outline(layer: Labels) -> None:
    """Show where the canvas ends, where napari can."""
    frame = getattr(layer, "bounding_box", None)
    if frame is not None:
        frame.points = False
        frame.line_thickness = 1
        frame.visible = True


def class_colormap(colors: Sequence[tuple[int, int, int]]) -> DirectLabelColormap:
    """Colours of the class values 1, 2, ...; everything else is transparent."""
    clear = np.zeros(4)
    table: dict[int | None, np.ndarray] = {None: clear, 0: clear}
    for value, color in enumerate(colors, start=1):
        table[value] = np.array([*color, 255]) / 255
    return DirectLabelColormap(color_dict=defaultdict(lambda: clear, table))
