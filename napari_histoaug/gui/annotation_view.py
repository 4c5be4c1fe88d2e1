"""Annotations as a layer: a multiscale Labels layer painted while one looks at it.

As with slides, what belongs together travels in the layer's metadata; see
:mod:`napari_histoaug.gui.session`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.gui.geometry import placement
from napari_histoaug.gui.shown import refresh

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_histoaug.annotations import Document, Picture
    from napari_histoaug.gui.session import SlideSession

KEY = "napari-histoaug annotations"
_TILE, _COARSEST, _CACHE = 512, 1024, 64 * 2**20
_OPACITY = 0.5


class LabelLevel:
    """One level of the picture, as an array that is painted where it is read.

    Parameters
    ----------
    view : AnnotationView
    step : int
        Level-0 pixels for each pixel of this level.
    """

    ndim = 2
    chunks = (_TILE, _TILE)

    def __init__(self, view: AnnotationView, step: int) -> None:
        self._view, self._step = view, step
        height, width = view.shape
        self.shape = (-(-height // step), -(-width // step))
        self.size = self.shape[0] * self.shape[1]
        self.dtype = np.dtype(view.picture.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a part; rows and columns by slices or numbers, as a viewer asks."""
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            key = tuple(part for part in key if part is not Ellipsis)
        parts = (*key, slice(None), slice(None))[:2]
        spans = [
            part if isinstance(part, slice) else slice(int(part), int(part) + 1) for part in parts
        ]
        (y0, y1, dy), (x0, x1, dx) = (
            span.indices(side) for span, side in zip(spans, self.shape, strict=True)
        )
        block = self._block(y0, x0, max(0, y1 - y0), max(0, x1 - x0))[::dy, ::dx]
        taken = tuple(0 if not isinstance(part, slice) else slice(None) for part in parts)
        return np.asarray(block[taken])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)

    def _block(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        out = np.zeros((height, width), self.dtype)
        for row in range(y // _TILE, -(-(y + height) // _TILE)):
            for column in range(x // _TILE, -(-(x + width) // _TILE)):
                tile = self._tile(row, column)
                top, left = row * _TILE - y, column * _TILE - x
                rows = slice(max(top, 0), min(top + tile.shape[0], height))
                columns = slice(max(left, 0), min(left + tile.shape[1], width))
                out[rows, columns] = tile[
                    rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                ]
        return out

    def _tile(self, row: int, column: int) -> np.ndarray:
        step, (height, width) = self._step, self.shape
        y, x = row * _TILE, column * _TILE
        box = (
            y * step,
            x * step,
            min(_TILE, height - y) * step,
            min(_TILE, width - x) * step,
        )
        return self._view.cache.get(
            (step, row, column),
            lambda: np.asarray(self._view.picture.paint(box, (step, step))),
        )


@dataclass(eq=False)
class AnnotationView:
    """What belongs together while annotations are shown.

    Attributes
    ----------
    picture : Picture
        What is painted.
    document : Document or None
        What can be edited and written back; None for files too large for that.
    path : Path or None
        Where they came from.
    shape : tuple of int
        (height, width) of the slide, level 0.
    session : SlideSession or None
        The slide they lie on.
    """

    picture: Picture
    document: Document | None
    path: Path | None
    shape: tuple[int, int]
    session: SlideSession | None = None

    def __post_init__(self) -> None:
        from napari_histoaug.slides.cache import ArrayCache

        self.cache = ArrayCache(_CACHE)

    def __deepcopy__(self, memo: dict[int, Any]) -> AnnotationView:
        # duplicating a layer shows the same annotations twice
        return self

    @property
    def scale(self) -> tuple[float, float]:
        """World units for each level-0 pixel."""
        return self.session.scale if self.session else (1.0, 1.0)

    @property
    def units(self) -> tuple[str, str]:
        """Units of the two axes."""
        return self.session.units if self.session else ("pixel", "pixel")

    def levels(self) -> list[LabelLevel]:
        """The arrays of the layer, finest first, each half of the one before.

        Two at least: napari takes a list of one lazy array for the array itself.
        """
        count = max(1, math.ceil(math.log2(max(self.shape) / _COARSEST))) + 1
        return [LabelLevel(self, 2**i) for i in range(count)]

    def repaint(self, layer: Labels) -> None:
        """Show the picture anew: classes were hidden, or the document was edited."""
        self.cache.drop(lambda key: True)
        refresh(layer)

    def said_at(self, y: float, x: float) -> str:
        """The class and the area of what is seen at a level-0 point; empty where nothing is."""
        row = self.picture.at(y, x)
        if row is None:
            return ""
        area = float(self.picture.index.outlines.area[row])
        known = self.session is not None and self.session.slide.mpp is not None
        size = f"{area * self.scale[0] * self.scale[1]:,.1f} µm²" if known else f"{area:,.0f} px²"
        return f"{self.picture.name_of(row)}, {size}"


class AnnotationCard(dict[str, Any]):
    """JSON-safe facts about the annotations of a layer, plus their view.

    Attributes
    ----------
    view : AnnotationView
        Not part of the dict's contents.
    """

    view: AnnotationView

    def __init__(self, view: AnnotationView) -> None:
        super().__init__(
            outlines=len(view.picture.index), classes=[c.name for c in view.picture.classes]
        )
        self.view = view

    def __deepcopy__(self, memo: dict[int, Any]) -> AnnotationCard:
        return AnnotationCard(self.view)


def view_of(layer: Layer | None) -> AnnotationView | None:
    """The annotations that a layer shows, or None for any other layer."""
    card = layer.metadata.get(KEY) if layer is not None else None
    return getattr(card, "view", None)


def layer_settings(view: AnnotationView, name: str, origin: tuple[float, float]) -> dict[str, Any]:
    """The settings of the Labels layer for a view; ``origin`` is where its slide's layer begins."""
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    classes = view.picture.classes
    colors: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    for value, shown in enumerate(classes, start=1):
        colors[value] = (*(part / 255 for part in shown.color), 1)
    table = {"index": range(len(classes) + 1), "class": ["", *(c.name for c in classes)]}
    scale, translate = placement((0, 0, *view.shape), (1.0, 1.0), view.scale, origin)
    return {
        "name": name,
        "multiscale": True,
        "scale": scale,
        "translate": translate,
        "units": view.units,
        "axis_labels": ("y", "x"),
        "opacity": _OPACITY,
        "colormap": DirectLabelColormap(color_dict=colors),
        "features": pd.DataFrame(table),
        "metadata": {KEY: AnnotationCard(view)},
    }


def rebuild(view: AnnotationView, layer: Labels) -> None:
    """Show a document anew that was edited; hidden classes stay hidden."""
    from napari_histoaug.annotations import AnnotationIndex, Picture

    assert view.document is not None
    hidden = view.picture.hidden
    view.picture = Picture(AnnotationIndex.from_document(view.document))
    view.picture.hidden = hidden
    settings = layer_settings(view, layer.name, (0.0, 0.0))
    layer.colormap, layer.features = settings["colormap"], settings["features"]
    view.repaint(layer)
