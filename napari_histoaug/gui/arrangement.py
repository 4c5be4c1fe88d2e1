"""Where slides lie: one beside the other, with a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.session import session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

GAP = 0.05
"""Room between two slides, as a share of the width of the left one."""


def lay_beside(layer: Image, others: Sequence[Image]) -> bool:
    """Move a slide's layer to the right of the others when it lies over one of them.

    Returns
    -------
    bool
        Whether it was moved. Canvases, outlines and proposals follow the layer's ``translate``.
    """
    if not any(_overlap(_extent(layer), _extent(other)) for other in others):
        return False
    right = max(others, key=lambda other: _extent(other)[1, 1])
    extent = _extent(right)
    edge = extent[1, 1] + GAP * (extent[1, 1] - extent[0, 1])
    move = edge - _extent(layer)[0, 1]
    translate = np.array(layer.translate, float)
    translate[-1] += move
    translate[-2] += extent[0, 0] - _extent(layer)[0, 0]
    layer.translate = translate
    return True


def arrange(viewer: ViewerModel, layer: Image) -> None:
    """Make room for a slide that was just opened, and show the scale bar."""
    session = session_of(layer)
    others = [other for other in viewer.layers if session_of(other) not in (None, session)]
    if lay_beside(layer, others):
        viewer.reset_view()
    show_scale_bar(viewer)


def show_scale_bar(viewer: ViewerModel) -> None:
    """Switch the scale bar on; it takes its unit (µm or px) from the layers."""
    canvas = getattr(viewer, "canvas", None)
    # before napari 0.9 the viewer itself held the overlay
    bar = viewer.scale_bar if canvas is None else canvas.overlays.scale_bar
    bar.visible = True


def _extent(layer: Image) -> np.ndarray:
    """((y0, x0), (y1, x1)) in world units."""
    return np.asarray(layer.extent.world)[:, -2:]


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a[0] < b[1]) and np.all(b[0] < a[1]))
