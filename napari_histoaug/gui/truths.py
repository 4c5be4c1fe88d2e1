"""Changing what is the truth: annotations and painted labels, each step with its way back."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import shapely
from napari.layers import Labels

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_editing import take_out
from napari_histoaug.gui.annotation_view import AnnotationView, rebuild

if TYPE_CHECKING:
    from napari_histoaug.annotations import Document, Feature
    from napari_histoaug.gui.sides import LabelSide
    from napari_histoaug.patches.grid import Grid

INSIDE = 0.5  # share of an outline that must lie in an error for it to go with it


class Step(Protocol):
    """Something that was changed."""

    def take_back(self) -> None:
        """Make it what it was, and show it."""
        ...


class AnnotationStep:
    """A document as it is now: its features and what each of them holds.

    Features are changed by putting new values into them, so a flat copy of each is enough.
    """

    def __init__(self, view: AnnotationView, layer: Labels) -> None:
        assert view.document is not None
        self._view, self._layer = view, layer
        self._document: Document = view.document
        self._top = list(view.document.features)
        self._held: list[tuple[Feature, dict[str, Any]]] = [
            (feature, dict(feature)) for feature in view.document.walk()
        ]

    def take_back(self) -> None:
        """Make the document what it was, and show it."""
        self._document.features[:] = self._top
        for feature, held in self._held:
            feature.clear()
            feature.update(held)
        rebuild(self._view, self._layer)


def accept(view: AnnotationView, shape: shapely.Geometry, name: str) -> None:
    """Add an outline, (x, y) in level-0 pixels, as an annotation of a class.

    It takes the place of outlines of the class that are the same vessel: of which most lies in it,
    or in which most of it lies.
    """
    from napari_histoaug.annotations import ClassTable, Feature

    document = view.document
    assert document is not None
    new = _in_frame(shape, document)
    for feature in list(document.walk()):
        if feature.class_name == name and (
            _share_inside(feature.geometry, new) > INSIDE
            or _share_inside(new, feature.geometry) > INSIDE
        ):
            take_out(document, feature)
    colors = {shown.name: shown.color for shown in view.picture.classes}
    color = colors.get(name) or ClassTable.from_names([name]).color_of(name)
    document.features.append(Feature.new(new, name, color))


def drop(view: AnnotationView, shape: shapely.Geometry, name: str) -> None:
    """Take away the annotations of a class that lie in an outline.

    Raises
    ------
    HistoaugError
        When none lies there for the most part.
    """
    document = view.document
    assert document is not None
    error = _in_frame(shape, document)
    inside = [
        feature
        for feature in document.walk()
        if feature.class_name == name and _share_inside(feature.geometry, error) > INSIDE
    ]
    if not inside:
        raise HistoaugError("No outline lies there by itself; click Correct and change it by hand.")
    for feature in inside:
        take_out(document, feature)


class PaintStep:
    """A rectangle of a Labels layer as it was."""

    def __init__(self, layer: Labels, place: tuple[slice, slice]) -> None:
        self._layer, self._place = layer, place
        self._held = np.array(layer.data[place])

    def take_back(self) -> None:
        """Paint what was there."""
        rows, columns = np.indices(self._held.shape)
        at = rows.ravel() + self._place[0].start, columns.ravel() + self._place[1].start
        self._layer.data_setitem(at, self._held.ravel())


def is_painted(layer: Any) -> bool:
    """Whether a layer holds labels in memory that can be painted on."""
    return isinstance(layer, Labels) and layer.editable and isinstance(layer.data, np.ndarray)


def paint(
    layer: Labels, side: LabelSide, grid: Grid, found: Any, mask: np.ndarray, value: int
) -> PaintStep:
    """Paint an object of a comparison on a Labels layer; napari's own undo knows of it, too.

    Parameters
    ----------
    layer : Labels
    side : LabelSide
        Where the layer lies.
    grid : Grid
        Of the comparison.
    found : Found
        The object.
    mask : bool (height, width)
        Its pixels, of its box.
    value : int
        0 takes it away; otherwise its class. A layer of numbered objects gets a new number.
    """
    if value and layer.data.dtype.itemsize > 1:
        value = int(layer.data.max()) + 1
    places, under = [], []
    for axis in (0, 1):
        centres = (np.arange(layer.data.shape[axis]) + 0.5) * side.spacing[axis]
        at = np.floor((centres + side.corner[axis]) / grid.spacing[axis] + 1e-6).astype(np.int64)
        at -= found.box[axis]
        inside = np.flatnonzero((at >= 0) & (at < found.box[axis + 2]))
        if not len(inside):
            raise HistoaugError(f"The object lies beyond {layer.name}; choose a larger one.")
        places.append(slice(int(inside[0]), int(inside[-1]) + 1))
        under.append(at[inside])
    step = PaintStep(layer, (places[0], places[1]))
    rows, columns = np.nonzero(mask[np.ix_(*under)])
    with layer.block_history() if hasattr(layer, "block_history") else nullcontext():
        layer.data_setitem((rows + places[0].start, columns + places[1].start), value)
    return step


def _in_frame(shape: shapely.Geometry, document: Document) -> shapely.Geometry:
    """An outline in the document's own coordinates."""
    frame = document.frame
    return shapely.transform(shape, lambda at: at - (frame.dx, frame.dy))


def _share_inside(shape: Any, error: Any) -> float:
    """Which share of an outline lies inside an error."""
    if not shape.intersects(error):
        return 0.0
    one, other = shapely.make_valid(shape), shapely.make_valid(error)
    return float(one.intersection(other).area / one.area) if one.area else 0.0
