"""What is painted beyond the canvas: a read-only multiscale Labels layer over the mask store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.gui.canvas import class_colormap
from napari_histoaug.gui.geometry import Box, intersect, origin_of, slices
from napari_histoaug.gui.shown import refresh

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.masks.store import MaskStore


class PaintedLevel:
    """A level of the mask store as napari wants its arrays, bare where the canvas lies.

    Parameters
    ----------
    store : MaskStore
    level : int
    hidden : callable
        Gives the level-0 box that the canvas shows, or None: both at once would show it twice.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2
    chunks = (512, 512)

    def __init__(self, store: MaskStore, level: int, hidden: Callable[[], Box | None]) -> None:
        # padded so that every level is exactly half of the one before
        coarsest, last = store.shapes[-1], len(store.shapes) - 1
        self.shape = tuple(side << (last - level) for side in coarsest)
        self.size = self.shape[0] * self.shape[1]
        self._store, self._level, self._hidden = store, level, hidden

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a part, by slices as a viewer asks, or the value of a pixel."""
        key = key if isinstance(key, tuple) else (key,)
        key = (*(part for part in key if part is not Ellipsis), slice(None), slice(None))[:2]
        spans = [
            part.indices(side) if isinstance(part, slice) else (int(part), int(part) + 1, 1)
            for part, side in zip(key, self.shape, strict=True)
        ]
        (y, y1, dy), (x, x1, dx) = spans
        box = (y, x, max(y1 - y, 0), max(x1 - x, 0))
        block = self._store.read(self._level, box)
        self._clear(block, box)
        picks = tuple(slice(None) if isinstance(part, slice) else 0 for part in key)
        out: np.ndarray = block[::dy, ::dx][picks]
        return out

    def _clear(self, block: np.ndarray, box: Box) -> None:
        hidden = self._hidden()
        if hidden is not None:
            y, x, height, width = (side >> self._level for side in hidden)
            common = intersect(box, (y, x, height, width))
            if common is not None:
                block[slices(common, box)] = 0

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


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
            [PaintedLevel(store, level, hidden) for level in range(len(store.shapes))],
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
