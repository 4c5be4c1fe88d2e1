"""What can be truth or prediction: the layers that lie on the slide, and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import found as found_layers
from napari_histoaug.gui import region
from napari_histoaug.gui.annotation_view import view_of
from napari_histoaug.gui.error_layer import KEY as ERRORS
from napari_histoaug.gui.geometry import origin_of
from napari_histoaug.gui.outlines import polygon_of
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.sides import FileSide, FoundSide, LabelSide, OutlineSide, Side

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_histoaug.gui.found import Found

COPIED = 2**26
"""Larger arrays in memory are read as they are, not as they were at the click; bytes."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A layer, a file, or what is found; the latter two have no layer.

    Attributes
    ----------
    title : str
        As it is listed.
    layer : Layer or None
    path : Path or None
    """

    title: str
    layer: Layer | None = None
    path: Path | None = None

    def same(self, other: Choice | None) -> bool:
        """Whether both mean the same thing, whatever it is called now."""
        return other is not None and self.layer is other.layer and self.path == other.path


FOUND = Choice("What is found here")


def layer_choices(viewer: ViewerModel) -> list[Choice]:
    """The layers that can be compared, the topmost first."""
    return [Choice(layer.name, layer) for layer in reversed(viewer.layers) if _can_be(layer)]


def _can_be(layer: Layer) -> bool:
    own = (found_layers.KEY, ERRORS, region.KEY)
    if not isinstance(layer, Labels | Shapes) or any(key in layer.metadata for key in own):
        return False
    return view_of(layer) is not None or isinstance(layer, Shapes) or layer.ndim == 2


def side_of(choice: Choice, slide_layer: Image, found: Found | None, label: str) -> Side:
    """What a choice holds at this moment.

    Parameters
    ----------
    choice : Choice
    slide_layer : Image
        The slide it shall lie on.
    found : Found or None
        What was found on that slide.
    label : str
        The class of shapes that say none.

    Raises
    ------
    HistoaugError
        When it cannot be compared; one sentence.
    """
    layer = choice.layer
    if choice.path is not None:
        return FileSide(choice.path)
    if layer is None:
        if found is None:
            raise HistoaugError("Nothing was found yet: click Find vessels.")
        return FoundSide(found.source, found.live.classes, found.live.grid)
    view = view_of(layer)
    if view is not None:
        if view.session is not session_of(slide_layer):
            raise HistoaugError(f"{layer.name} lies on another slide; choose that one's.")
        return OutlineSide(layer.name, view.picture.index)
    if isinstance(layer, Shapes):
        return OutlineSide(layer.name, _drawn(layer, slide_layer, label))
    return _labels(layer, slide_layer)


def _labels(layer: Labels, slide_layer: Image) -> LabelSide:
    session = session_of(slide_layer)
    assert session is not None
    if not np.allclose(layer.rotate, 0 if layer.ndim == 1 else np.eye(2)) or np.any(layer.shear):
        raise HistoaugError(f"{layer.name} is turned or sheared; save it on the slide's grid.")
    data: Any = layer.data[0] if layer.multiscale else layer.data
    if isinstance(data, np.ndarray) and data.nbytes <= COPIED:
        data = data.copy()
    scale, world = np.array(layer.scale[-2:], float), np.array(session.scale)
    spacing = scale / world
    # napari has pixels' centres at whole numbers; corners are half a pixel before
    corner = (np.array(origin_of(layer)) - origin_of(slide_layer)) / world + (1 - spacing) / 2
    return LabelSide(
        layer.name,
        data,
        (float(spacing[0]), float(spacing[1])),
        (float(corner[0]), float(corner[1])),
    )


def _drawn(layer: Shapes, slide_layer: Image, label: str) -> Any:
    """The closed shapes of a layer as annotations in the slide's level-0 pixels."""
    import shapely

    from napari_histoaug.annotations import AnnotationIndex, Document, Feature

    names = layer.features.get("class")
    features = []
    for number, (data, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        if kind in ("line", "path"):
            continue
        corners = polygon_of(data, kind)
        at = [slide_layer.world_to_data(layer.data_to_world(corner))[-2:] for corner in corners]
        name = str(names.iloc[number]) if names is not None else label
        shape = shapely.make_valid(shapely.Polygon(np.array(at)[:, ::-1] + 0.5))
        features.append(Feature.new(shape, name))
    if not features:
        raise HistoaugError(f"{layer.name} holds no closed shape; draw one, or choose another.")
    return AnnotationIndex.from_document(Document.from_features(features))
