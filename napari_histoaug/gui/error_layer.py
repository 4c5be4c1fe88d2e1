"""The TP/FP/FN layer: the error map of one class over the slide."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.gui.canvas import class_colormap
from napari_histoaug.gui.geometry import Box, origin_of, placement
from napari_histoaug.gui.lazy_level import lazy_levels

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.patches.grid import Grid

KEY = "napari-histoaug errors"
OPACITY = 0.55


class ErrorMaps:
    """Error maps on disk, in a temporary folder that goes with this object.

    Parameters
    ----------
    place : TemporaryDirectory
        Holds ``errors.zarr``, see :mod:`napari_histoaug.segmentation.error_store`.
    classes : sequence of str
    """

    def __init__(self, place: TemporaryDirectory[str], classes: tuple[str, ...]) -> None:
        import zarr

        self._place = place
        self._group = zarr.open_group(f"{place.name}/errors.zarr", mode="r")
        self.classes = classes

    def shapes(self, name: str) -> list[tuple[int, int]]:
        """(height, width) of the levels of a class, finest first."""
        return [(int(a.shape[0]), int(a.shape[1])) for a in self._levels(name)]

    def read(self, name: str, level: int, box: Box) -> np.ndarray:
        """Outcomes of a box of a level, uint8 (height, width)."""
        y, x, height, width = box
        return np.asarray(self._levels(name)[level][y : y + height, x : x + width], np.uint8)

    def _levels(self, name: str) -> list[Any]:
        group: Any = self._group[f"labels/{name}"]
        return [group[key] for key in sorted(group.array_keys(), key=int)]


class ErrorLayer:
    """Shows the error map of one class.

    Attributes
    ----------
    palette : str
        One of :data:`napari_histoaug.segmentation.error_map.COLOURS`.
    opacity : float
    contour : int
        Only borders, so many pixels wide; 0 fills.
    layer : Labels or None
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.palette, self.opacity, self.contour = "thesis", OPACITY, 0
        self.layer: Labels | None = None

    @property
    def is_shown(self) -> bool:
        """It is in the layer list."""
        return self.layer is not None and self.layer in self._viewer.layers

    def show(
        self, maps: ErrorMaps, name: str, grid: Grid, slide_layer: Image, session: SlideSession
    ) -> None:
        """Show the error map of a class, in a new layer when there is none."""
        shapes = maps.shapes(name)
        levels = lazy_levels(shapes, lambda level, box: maps.read(name, level, box))
        scale, translate = placement((0, 0), grid.spacing, session.scale, origin_of(slide_layer))
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data = levels
            self.layer.scale, self.layer.translate = scale, translate
            return
        active = self._viewer.layers.selection.active
        self.layer = self._viewer.add_labels(
            levels,
            multiscale=True,
            name=f"{session.slide.name} TP/FP/FN",
            scale=scale,
            translate=translate,
            units=session.units,
            axis_labels=("y", "x"),
            metadata={KEY: True},
        )
        self.look()
        self._viewer.layers.selection.active = active

    def look(self) -> None:
        """Apply palette, opacity and contour."""
        layer = self.layer
        if layer is None:
            return
        from napari_histoaug.segmentation.error_map import COLOURS

        layer.colormap = class_colormap(list(COLOURS[self.palette].values()))
        layer.opacity = 1.0 if self.contour else self.opacity
        layer.contour = self.contour

    def remove(self) -> None:
        """Take it out of the layer list."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None
