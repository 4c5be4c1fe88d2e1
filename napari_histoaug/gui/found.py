"""What a segmenter found on a slide, and the two layers that show it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap

from napari_histoaug.gui.canvas import class_colormap
from napari_histoaug.gui.geometry import Box, origin_of, placement
from napari_histoaug.gui.jobs import INTERVAL
from napari_histoaug.gui.lazy_level import lazy_levels
from napari_histoaug.gui.shown import refresh

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.segmentation.live_prediction import LivePrediction, Thresholded

KEY = "napari-histoaug found"
NAME = "What was found"
"""As sentences call it."""
CONTOUR = 2
HEAT = Colormap(
    np.array([[1.0, 0.85, 0.2, 0.0], [1.0, 0.6, 0.1, 0.35], [0.8, 0.1, 0.35, 0.5]]),
    name="vessel probability",
)
"""Clear where nothing is, so that tissue stays tissue."""


@dataclass(eq=False)
class Found:
    """A prediction of one slide that grows while one looks.

    Attributes
    ----------
    session : SlideSession
    live : LivePrediction
    model : str
        Of the segmenter, its hash.
    filtered : FilteredLabels, optional
        What a filter for false positives left; counts until thresholds or fields change.
    colors : list of (int, int, int)
        Of the classes.
    shown_class : int
        Whose probability is shown.
    """

    session: SlideSession
    live: LivePrediction
    model: str
    colors: list[tuple[int, int, int]]
    filtered: FilteredLabels | None = None
    shown_class: int = 0
    layers: list[Any] = field(default_factory=list)
    _refreshed: float = float("-inf")

    @property
    def source(self) -> Thresholded | FilteredLabels:
        """What is found at this moment, as labels on the prediction's grid."""
        return self.filtered or self.live.frozen(NAME)

    def show(self, viewer: ViewerModel, slide_layer: Image) -> None:
        """Add the layers, or those of them that the user took away; probabilities lie below."""
        shown = [layer for layer in self.layers if layer in viewer.layers]
        if shown:
            return
        active = viewer.layers.selection.active
        place = self._placed(slide_layer)
        name = self.session.slide.name
        probability = viewer.add_image(
            lazy_levels(self.live.shapes, self._probability),
            multiscale=True,
            rgb=False,
            name=f"{name} probability",
            contrast_limits=(0, 255),
            colormap=HEAT,
            blending="translucent",
            metadata={KEY: True},
            **place,
        )
        labels = viewer.add_labels(
            lazy_levels(self.live.shapes, self._labels),
            multiscale=True,
            name=f"{name} found",
            opacity=1.0,
            colormap=class_colormap(self.colors),
            metadata={KEY: True},
            **place,
        )
        labels.contour = CONTOUR
        self.layers = [probability, labels]
        viewer.layers.selection.active = active

    def refresh(self, viewer: ViewerModel, always: bool = True) -> None:
        """Show what is known now; the labels alone where only a threshold moved."""
        now = time.monotonic()
        if not always and now - self._refreshed < INTERVAL:
            return
        self._refreshed = now
        for layer in self.layers:
            if layer in viewer.layers:
                refresh(layer)

    def refresh_labels(self, viewer: ViewerModel) -> None:
        """Show the labels at the thresholds of this moment."""
        if self.layers and self.labels_layer in viewer.layers:
            refresh(self.labels_layer)

    @property
    def labels_layer(self) -> Labels:
        """The layer of what counts as found."""
        return self.layers[1]

    def close(self) -> None:
        """Delete the temporary files."""
        self.live.close()

    def _probability(self, level: int, box: Box) -> np.ndarray:
        return self.live.probabilities(level, box)[self.shown_class]

    def _labels(self, level: int, box: Box) -> np.ndarray:
        filtered = self.filtered
        return self.live.labels(level, box) if filtered is None else filtered.level(level, box)

    def _placed(self, slide_layer: Image) -> dict[str, Any]:
        session = self.session
        spacing = self.live.grid.spacing
        scale, translate = placement((0, 0), spacing, session.scale, origin_of(slide_layer))
        return {
            "scale": scale,
            "translate": translate,
            "units": session.units,
            "axis_labels": ("y", "x"),
        }


class FilteredLabels:
    """What a filter for false positives left of a prediction, read block by block.

    Parameters
    ----------
    name : str
        As sentences call it.
    folder : Path
        Of the filtered prediction.
    place : TemporaryDirectory
        Where that lies; goes with this object.
    """

    def __init__(self, name: str, folder: Path, place: TemporaryDirectory[str]) -> None:
        from napari_histoaug.segmentation.prediction_store import CLASSES, VALID, PredictionStore

        store = PredictionStore.open(folder)
        self.name, self.folder, self.shape = name, folder, store.shape
        self._place = place
        self._levels, self._valid = store.levels(CLASSES), store.levels(VALID)[0]

    def level(self, level: int, box: Box) -> np.ndarray:
        """Labels of a box of a level, uint8 (height, width)."""
        y, x, height, width = box
        return np.asarray(self._levels[level][y : y + height, x : x + width], np.uint8)

    def read(self, box: Box) -> np.ndarray:
        """Labels uint8 (height, width), 255 where nobody looked."""
        y, x, height, width = box
        valid = np.asarray(self._valid[y : y + height, x : x + width]) != 0
        return np.where(valid, self.level(0, box), 255).astype(np.uint8)

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        """Labels of a rectangle, 0 where nobody looked."""
        return np.asarray(self._levels[0][key], np.uint8)
