"""The layer of a slide on which results are shown.

It stays in the layer list, clear, while there is nothing to show: napari needs a third of a second
to add a layer and, since it collects garbage then, up to a second to take one away; even hiding one
makes OpenGL compile its programs anew. The window does not answer meanwhile. Showing other pixels
on a layer that is there takes a twentieth of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.geometry import Box, origin_of, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.gui.session import SlideSession

SIDE = 256  # px of the empty layer; about the box of an ordinary vessel


class ResultLayer:
    """Shows the pixels of one box of a slide at a time.

    Parameters
    ----------
    viewer : ViewerModel
    slide_layer : Image
        The layer of the slide.
    session : SlideSession

    Attributes
    ----------
    layer : Image
        RGBA.
    """

    def __init__(self, viewer: ViewerModel, slide_layer: Image, session: SlideSession) -> None:
        self._viewer = viewer
        self.slide_layer = slide_layer
        self._session = session
        self._idle_name = f"{session.slide.name} result"
        active = viewer.layers.selection.active
        self.layer: Image = viewer.add_image(
            np.zeros((SIDE, SIDE, 4), np.uint8),
            rgb=True,
            name=self._idle_name,
            scale=session.scale,
            translate=origin_of(slide_layer),
            units=session.units,
            axis_labels=("y", "x"),
        )
        # the brush stays in the hand
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    @property
    def is_there(self) -> bool:
        """The user has not taken it out of the layer list."""
        return self.layer in self._viewer.layers

    def show(self, box: Box, rgba: np.ndarray, name: str, opacity: float = 1.0) -> None:
        """Show pixels (uint8 (height, width, 4)) over a level-0 box, above everything else."""
        layer, layers = self.layer, self._viewer.layers
        _, translate = placement(box, (1.0, 1.0), self._session.scale, origin_of(self.slide_layer))
        layer.translate, layer.opacity, layer.name = translate, opacity, name
        layer.data = rgba
        if layers[-1] is not layer:
            layers.move(layers.index(layer), len(layers))
        if not layer.visible:  # the user hid it when it showed something else
            layer.visible = True

    def hide(self) -> None:
        """Show nothing."""
        if self.is_there and self.layer.name != self._idle_name:
            self.layer.data = np.zeros_like(self.layer.data)
            self.layer.name = self._idle_name

    def remove(self) -> None:
        """Take it out of the layer list."""
        if self.is_there:
            self._viewer.layers.remove(self.layer)
