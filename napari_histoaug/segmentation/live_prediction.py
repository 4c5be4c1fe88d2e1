"""Probabilities that arrive field by field, and what they say at any threshold.

For looking while a network works: the probabilities stay as they are stored, whole numbers from 0
to 255, and labels are made from them where they are read. Coarse levels hold the maximum, so that
at every level a label is there exactly when one of the pixels below it has it (for one class).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from napari_histoaug.edits.versions import versions
from napari_histoaug.patches.grid import Grid
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.label_sources import UNKNOWN
from napari_histoaug.segmentation.prediction_store import (
    Box,
    PredictionStore,
    blocks,
    level_shapes,
)
from napari_histoaug.segmentation.whole_slide import DEFAULT_COLOURS

FIELD = 512
"""Side of a field, pixels: what is predicted and shown at once."""
CERTAIN = 255

UInt8 = npt.NDArray[np.uint8]


class LivePrediction:
    """What a segmenter found so far on one grid of pixels; safe in several threads.

    The arrays lie in a temporary folder that goes with this object.

    Parameters
    ----------
    grid : Grid
    classes : sequence of str
    thresholds : sequence of float
        Probability from which a pixel counts, a class; may be set anew at any time.
    about : mapping
        Which segmenter and which slide, kept when it is saved.

    Attributes
    ----------
    looked_at : bool (rows, columns)
        The fields that were predicted.
    """

    def __init__(
        self,
        grid: Grid,
        classes: Sequence[str],
        thresholds: Sequence[float],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.grid, self.classes = grid, tuple(classes)
        self.thresholds = tuple(thresholds)
        self.about = dict(about or {})
        self._folder = tempfile.TemporaryDirectory(prefix="histoaug-", ignore_cleanup_errors=True)
        group = zarr.create_group(self._folder.name)
        shapes = level_shapes(grid.shape)
        self._levels = [_array(group, str(i), (len(classes), *s)) for i, s in enumerate(shapes)]
        self._valid = _array(group, "valid", grid.shape)
        rows, columns = (-(-side // FIELD) for side in grid.shape)
        self.looked_at = np.zeros((rows, columns), bool)
        self._lock = threading.RLock()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(height, width) of all levels, finest first, each half of the one before."""
        return level_shapes(self.grid.shape)

    def fields(self, within: Box | None = None) -> list[Box]:
        """The fields that touch a box of the grid and were not looked at, in reading order.

        Bands of four fields, column by column: neighbours share most windows of the network.
        """
        places = np.argwhere(~self.looked_at)
        band = places[:, 0] // 4
        places = places[np.lexsort((places[:, 0], places[:, 1], band))]
        boxes = [self._field(int(row), int(column)) for row, column in places]
        return [box for box in boxes if within is None or touch(box, within)]

    def write(self, box: Box, probabilities: UInt8, valid: npt.NDArray[np.bool_]) -> None:
        """Keep a field.

        Parameters
        ----------
        box : (y, x, height, width)
            One of :meth:`fields`.
        probabilities : uint8 (classes, height, width)
        valid : bool (height, width)
            Where the slide could be read.
        """
        y, x, height, width = box
        with self._lock:
            self._levels[0][:, y : y + height, x : x + width] = probabilities
            self._valid[y : y + height, x : x + width] = valid.astype(np.uint8)
            self._coarsen(y, x, y + height, x + width)
            self.looked_at[y // FIELD, x // FIELD] = True

    def probabilities(self, level: int, box: Box) -> UInt8:
        """Probabilities of a box of a level, uint8 (classes, height, width); 255 is certain."""
        y, x, height, width = box
        with self._lock:
            found = self._levels[level][:, y : y + height, x : x + width]
        return np.asarray(found, np.uint8)

    def valid(self, box: Box) -> npt.NDArray[np.bool_]:
        """Bool (height, width): where something is known."""
        y, x, height, width = box
        with self._lock:
            return np.asarray(self._valid[y : y + height, x : x + width]) != 0

    def labels(self, level: int, box: Box, thresholds: Sequence[float] | None = None) -> UInt8:
        """Labels of a box of a level at the thresholds set or given: 0, or 1 + class index."""
        limits = self.thresholds if thresholds is None else thresholds
        return labels_of(self.probabilities(level, box), limits)

    def frozen(self, name: str) -> Thresholded:
        """What is found at the thresholds of this moment."""
        return Thresholded(name, self, self.thresholds)

    def save(self, out: Path, stop: Callable[[], None] = lambda: None) -> None:
        """Write a prediction, see :mod:`.prediction_store`, whole or not at all.

        Parameters
        ----------
        out : Path
            Folder to make.
        stop : callable
            Called before every block; may raise.

        Raises
        ------
        SegmentationError
            When `out` exists.
        """
        if out.exists():
            raise SegmentationError(f"{out} exists; choose another name or delete it first.")
        part = out.with_name(f"{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            count = len(DEFAULT_COLOURS)
            colours = [DEFAULT_COLOURS[i % count] for i in range(len(self.classes))]
            store = PredictionStore.create(
                part, self.grid.shape, self.classes, self.grid.mpp, colours
            )
            for box in blocks(self.grid.shape):
                stop()
                found = self.probabilities(0, box)
                valid = self.valid(box).astype(np.uint8)
                store.write(box, found, labels_of(found, self.thresholds) * valid, valid)
            store.coarsen(stop)
            store.finish(self._facts())
            os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def close(self) -> None:
        """Delete the temporary files."""
        self._folder.cleanup()

    def _facts(self) -> dict[str, Any]:
        return {
            **self.about,
            "classes": list(self.classes),
            "thresholds": list(self.thresholds),
            "level_0_pixels_per_pixel": list(self.grid.spacing),
            "wanted": {"fields": int(self.looked_at.sum()), "of": int(self.looked_at.size)},
            "versions": versions(),
        }

    def _field(self, row: int, column: int) -> Box:
        y, x = row * FIELD, column * FIELD
        height, width = self.grid.shape
        return y, x, min(FIELD, height - y), min(FIELD, width - x)

    def _coarsen(self, top: int, left: int, bottom: int, right: int) -> None:
        for fine, coarse in zip(self._levels, self._levels[1:], strict=False):
            top, left, bottom, right = top // 2, left // 2, -(-bottom // 2), -(-right // 2)
            part = np.asarray(fine[:, 2 * top : 2 * bottom, 2 * left : 2 * right])
            part = np.pad(part, ((0, 0), (0, part.shape[1] % 2), (0, part.shape[2] % 2)))
            halves = part.reshape(len(part), part.shape[1] // 2, 2, part.shape[2] // 2, 2)
            coarse[:, top:bottom, left:right] = halves.max(axis=(2, 4))


class Thresholded:
    """A prediction at fixed thresholds, as labels that are read block by block.

    Parameters
    ----------
    name : str
        As sentences call it.
    prediction : LivePrediction
    thresholds : sequence of float
    """

    def __init__(self, name: str, prediction: LivePrediction, thresholds: Sequence[float]) -> None:
        self.name, self.prediction, self.thresholds = name, prediction, tuple(thresholds)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the grid."""
        return self.prediction.grid.shape

    def read(self, box: Box) -> UInt8:
        """Labels uint8 (height, width), ``UNKNOWN`` where nobody looked."""
        found = self.prediction.labels(0, box, self.thresholds)
        found[~self.prediction.valid(box)] = UNKNOWN
        return found

    def __getitem__(self, key: tuple[slice, slice]) -> UInt8:
        """Labels of a rectangle, 0 where nobody looked."""
        (y, y1, _), (x, x1, _) = (
            part.indices(side) for part, side in zip(key, self.shape, strict=True)
        )
        found = self.read((y, x, y1 - y, x1 - x))
        found[found == UNKNOWN] = 0
        return found


def labels_of(probabilities: UInt8, thresholds: Sequence[float]) -> UInt8:
    """Label mask uint8 (H, W) of stored probabilities (classes, H, W); see `Segmenter.labels`."""
    limits = np.array(thresholds, np.float32)[:, None, None] * CERTAIN
    if len(limits) == 1:
        return (probabilities[0] >= limits[0]).astype(np.uint8)
    margin = (probabilities - limits) / (CERTAIN - limits)
    best = margin.argmax(0)
    return np.where(margin.max(0) >= 0, best + 1, 0).astype(np.uint8)


def touch(one: Box, other: Box) -> bool:
    """Whether two boxes share a pixel."""
    down = one[0] < other[0] + other[2] and other[0] < one[0] + one[2]
    return down and one[1] < other[1] + other[3] and other[1] < one[1] + one[3]


def _array(group: zarr.Group, path: str, shape: tuple[int, ...]) -> zarr.Array:
    lead = (1,) * (len(shape) - 2)
    return group.create_array(
        path,
        shape=shape,
        dtype="uint8",
        chunks=(*lead, FIELD, FIELD),
        fill_value=0,
        compressors=ZstdCodec(level=1),
    )
