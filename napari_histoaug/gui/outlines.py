"""Outlines: a Shapes layer over the slide whose closed shapes serve as holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.geometry import origin_of
from napari_histoaug.gui.holes import Outlines

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_histoaug.gui.session import SlideSession

DONE = "inpainted"
"""Feature that marks an outline as used, so that the next click does not fill it again."""
_CORNERS = np.linspace(0, 2 * np.pi, 64, endpoint=False)


def add_outlines(
    viewer: ViewerModel, slide_layer: Image, session: SlideSession, color: tuple[int, int, int]
) -> Shapes:
    """Add an empty outline layer in the slide's level-0 pixels, ready to draw polygons."""
    edge = np.array([*color, 255]) / 255
    layer = viewer.add_shapes(
        name=f"{session.slide.name} outlines",
        ndim=2,
        scale=session.scale,
        translate=origin_of(slide_layer),
        units=session.units,
        axis_labels=("y", "x"),
        edge_color=edge,
        face_color=edge * [1, 1, 1, 0.25],
        edge_width=2,
    )
    layer.mode = "add_polygon"
    viewer.layers.selection.active = layer
    return layer


def chosen(layer: Shapes) -> list[int]:
    """The closed shapes to fill: the selected ones, else all that were not used before."""
    closed = [i for i, kind in enumerate(layer.shape_type) if kind not in ("line", "path")]
    selected = [i for i in closed if i in layer.selected_data]
    return selected or [i for i in closed if not _used(layer)[i]]


def drawing(layer: Shapes, indices: list[int]) -> Outlines:
    """The shapes as level-0 polygons (the layer's data coordinates are level-0 pixels)."""
    return Outlines([polygon_of(layer.data[i], layer.shape_type[i]) for i in indices])


def mark_used(layer: Shapes, indices: Sequence[int]) -> None:
    """Remember that these shapes have been filled; they stay as annotations."""
    used = _used(layer)
    used[[i for i in indices if i < len(used)]] = True
    features = layer.features.copy()
    features[DONE] = used
    layer.features = features


def _used(layer: Shapes) -> np.ndarray:
    if DONE not in layer.features:
        return np.zeros(len(layer.data), bool)
    # shapes drawn after the feature was made have a missing value there
    return np.array([str(value) == "True" for value in layer.features[DONE]], bool)


def polygon_of(corners: np.ndarray, kind: str) -> np.ndarray:
    """The corners of a closed shape, float (n, 2): those of an ellipse are 64 points on it."""
    corners = np.asarray(corners, float)[:, -2:]
    if kind != "ellipse":
        return corners
    centre = corners.mean(axis=0)
    a, b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    return centre + np.cos(_CORNERS)[:, None] * a + np.sin(_CORNERS)[:, None] * b
