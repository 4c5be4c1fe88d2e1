"""What is painted beyond the canvas: a read-only multiscale Labels layer over the mask store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.canvas import class_colormap
from napari_histoaug.gui.geometry import Box, intersect, origin_of, slices
from napari_histoaug.gui.lazy_level import lazy_levels
from napari_histoaug.gui.shown import refresh

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.masks.store import MaskStore


class PaintedLayer:
    """Shows a mask store in a viewer.

    Attributes
    ----------
    layer : Labels
        Multiscale, hence not editable.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        slide_layer: Image,
        session: SlideSession,
        store: MaskStore,
        classes: ClassTable,
        hidden: Callable[[], Box | None],
    ) -> None:
        self._viewer = viewer
        active = viewer.layers.selection.active
        self.layer: Labels = viewer.add_labels(
            lazy_levels(store.shapes, lambda level, box: _bare(store, level, box, hidden())),
            multiscale=True,
            name=f"{session.slide.name} painted",
            scale=session.scale,
            translate=origin_of(slide_layer),
            units=session.units,
            axis_labels=("y", "x"),
            opacity=0.6,
            colormap=class_colormap(classes.colors),
        )
        viewer.layers.selection.active = active

    @property
    def is_shown(self) -> bool:
        """The user has not taken it out of the layer list."""
        return self.layer in self._viewer.layers

    def refresh(self) -> None:
        """Show what the store holds now."""
        if self.is_shown:
            refresh(self.layer)


def _bare(store: MaskStore, level: int, box: Box, hidden: Box | None) -> np.ndarray:
    """What is painted, without what the canvas shows: both at once would show it twice."""
    block = store.read(level, box)
    if hidden is not None:
        y, x, height, width = (side >> level for side in hidden)
        common = intersect(box, (y, x, height, width))
        if common is not None:
            block[slices(common, box)] = 0
    return block
