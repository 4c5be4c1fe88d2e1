"""The region: a rectangle, or any shape, that the user drew on the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_histoaug.gui.geometry import Box, intersect, origin_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_histoaug.gui.session import SlideSession

KEY = "napari-histoaug region"


class Region:
    """The box around the last shape of a layer of its own.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    changed : psygnal.Signal
        It was drawn, moved or taken away.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._slide_layer: Image | None = None

    def draw(self, slide_layer: Image, session: SlideSession) -> None:
        """Go to the region's layer of a slide, made when there is none, to draw a rectangle."""
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = self._viewer.add_shapes(
                name=f"{session.slide.name} region",
                ndim=2,
                units=session.units,
                axis_labels=("y", "x"),
                edge_color="#f0c040",
                face_color="transparent",
                edge_width=3,
                metadata={KEY: True},
            )
            self._layer.events.data.connect(self._on_data)
        self._slide_layer = slide_layer
        self._layer.scale, self._layer.translate = session.scale, origin_of(slide_layer)
        self._layer.mode = "add_rectangle"
        self._viewer.layers.selection.active = self._layer

    def box(self, slide_layer: Image, session: SlideSession) -> Box | None:
        """Level-0 pixels (y, x, height, width) of the region on a slide, or None."""
        layer = self._layer
        if layer is None or layer not in self._viewer.layers or not len(layer.data):
            return None
        if slide_layer is not self._slide_layer:
            return None
        corners = np.asarray(layer.data[-1], float)[:, -2:] + 0.5
        low = np.floor(corners.min(axis=0)).astype(int)
        high = np.ceil(corners.max(axis=0)).astype(int)
        drawn = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        return intersect(drawn, (0, 0, *session.shape))

    def close(self) -> None:
        """Listen no more."""
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_data)

    def _on_data(self, event: Any = None) -> None:
        self.changed.emit()
