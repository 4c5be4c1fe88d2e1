"""A result that is not accepted yet, shown in place over the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.geometry import Box, origin_of, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.gui.painting import Drawn
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.gui.work import Part


class Proposal:
    """The layers of one result: an RGBA image for each box, opaque only where pixels change.

    Attributes
    ----------
    session : SlideSession
        The slide it belongs to.
    drawn : Drawn
        What it was made from.
    parts : list of Part
        Empty while the network is still at work.
    """

    def __init__(
        self, viewer: ViewerModel, session: SlideSession, drawn: Drawn, number: int
    ) -> None:
        self._viewer = viewer
        self._number = number
        self._layers: dict[Box, Image] = {}
        self.session = session
        self.drawn = drawn
        self.parts: list[Part] = []

    @property
    def slide_layer(self) -> Image:
        """The layer of the slide it belongs to."""
        return self.drawn.slide_layer

    @property
    def layers(self) -> list[Image]:
        """Its layers that the viewer still holds."""
        return [layer for layer in self._layers.values() if layer in self._viewer.layers]

    @property
    def visible(self) -> bool:
        """Whether the result, and not the slide beneath, is seen."""
        return any(layer.visible for layer in self.layers)

    @visible.setter
    def visible(self, value: bool) -> None:
        for layer in self.layers:
            layer.visible = value

    def show(self, box: Box, image: np.ndarray, shown: np.ndarray) -> None:
        """Show ``image`` (uint8 (h, w, 3)) over a level-0 box where ``shown`` (bool) is True."""
        rgba = np.dstack([image, np.where(shown, 255, 0).astype(np.uint8)])
        layer = self._layers.get(box)
        if layer is None:
            self._layers[box] = self._add(box, rgba)
        elif layer in self._viewer.layers:
            layer.data = rgba

    def show_parts(self, parts: list[Part]) -> None:
        """Show the finished result, also when its preview was taken out of the layer list."""
        kept = self.layers
        self._layers = {box: layer for box, layer in self._layers.items() if layer in kept}
        self.parts = parts
        for part in parts:
            self.show(part.box, part.image, part.changed)

    def remove(self) -> None:
        """Take its layers away."""
        for layer in self.layers:
            self._viewer.layers.remove(layer)

    def _add(self, box: Box, rgba: np.ndarray) -> Image:
        scale, translate = placement(
            box, (1.0, 1.0), self.session.scale, origin_of(self.slide_layer)
        )
        active = self._viewer.layers.selection.active
        layer = self._viewer.add_image(
            rgba,
            rgb=True,
            name=f"{self.session.slide.name} inpaint {self._number:03d}",
            scale=scale,
            translate=translate,
            units=self.session.units,
            axis_labels=("y", "x"),
        )
        # the brush stays in the hand
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active
        return layer
