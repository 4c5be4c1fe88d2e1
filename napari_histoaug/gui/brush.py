"""How large brush and eraser are: on the screen, or on the tissue; each its own size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

BRUSH_ON_SCREEN, ERASER_ON_SCREEN = 24.0, 36.0
"""Diameters in screen pixels at the start."""
LARGEST = 500
"""Canvas pixels, at most."""


class BrushSizes:
    """Sizes that outlive canvases.

    Attributes
    ----------
    on_screen : bool
        A brush is as large on the screen at every zoom; else as large on the tissue.
    brush, eraser : float
        Diameters in screen pixels when `on_screen`, else in world units (micrometres).
    """

    def __init__(self) -> None:
        self.on_screen = True
        self.brush, self.eraser = BRUSH_ON_SCREEN, ERASER_ON_SCREEN
        self._applying = False

    def set_on_screen(self, on_screen: bool, zoom: float) -> None:
        """Choose what stays the same while zooming; the present sizes stay what they are."""
        if on_screen != self.on_screen:
            factor = zoom if on_screen else 1 / zoom
            self.on_screen = on_screen
            self.brush, self.eraser = self.brush * factor, self.eraser * factor

    def apply(self, layer: Labels, zoom: float) -> None:
        """Give the layer the size of the tool it is in."""
        size = self.eraser if layer.mode == "erase" else self.brush
        world = size / zoom if self.on_screen else size
        self._applying = True
        layer.brush_size = int(np.clip(round(world / float(max(layer.scale))), 1, LARGEST))
        self._applying = False

    def learn(self, layer: Labels, zoom: float) -> bool:
        """Take over the size that the user gave the layer by its own controls or keys.

        Returns
        -------
        bool
            False when it was ours.
        """
        if self._applying:
            return False
        world = float(layer.brush_size) * float(max(layer.scale))
        size = world * zoom if self.on_screen else world
        if layer.mode == "erase":
            self.eraser = size
        else:
            self.brush = size
        return True
