"""What a false-positive filter looks at: each found object with the tissue around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor

from napari_histoaug.metrics.objects import label_objects
from napari_histoaug.patches.grid import Grid, level_for
from napari_histoaug.patches.pixels import read_pixels
from napari_histoaug.segmentation.object_counts import Found, ObjectCounter
from napari_histoaug.segmentation.prediction_store import CLASSES, PredictionStore, blocks
from napari_histoaug.slides import Slide

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
AROUND = 1.5  # side of a crop over that of the object
LARGEST = 4096  # px; a larger object is no vessel to be judged by a small picture


def store_grid(store: PredictionStore, slide: Slide) -> Grid:
    """The grid a prediction was made on."""
    spacing = store.facts["level_0_pixels_per_pixel"]
    spacing = (float(spacing[0]), float(spacing[1]))
    return Grid(store.shape, spacing, level_for(slide, spacing), store.mpp)


def found_objects(
    store: PredictionStore, value: int, stop: Callable[[], None] = lambda: None
) -> tuple[Found, ...]:
    """All objects of a class of a prediction, the largest first."""
    labels = store.levels(CLASSES)[0]
    counter = ObjectCounter()
    for box in blocks(store.shape):
        stop()
        y, x, height, width = box
        part = np.asarray(labels[y : y + height, x : x + width])
        counter.add(box, np.zeros(part.shape, bool), part == value)
    return counter.result().invented


def object_mask(labels: Any, found: Found, value: int) -> Bool:
    """The pixels of an object, bool (height, width) of its box."""
    y, x, height, width = found.box
    numbered = label_objects(np.asarray(labels[y : y + height, x : x + width]) == value)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    # Another object may reach into the box; the areas tell them apart.
    exact = np.flatnonzero(sizes == found.area)
    return np.asarray(numbered == (exact[0] if len(exact) else sizes.argmax()))


def crops(
    slide: Slide, store: PredictionStore, value: int, objects: Sequence[Found], side: int
) -> Iterator[Tensor]:
    """Crops float32 (4, side, side) in the objects' order: RGB in [-1, 1], mask 0 or 1."""
    grid, labels = store_grid(store, slide), store.levels(CLASSES)[0]
    for found in objects:
        y, x, height, width = found.box
        reach = max(side, int(np.ceil(AROUND * max(height, width))))
        top, left = y + (height - reach) // 2, x + (width - reach) // 2
        image = read_pixels(slide, grid, (top, left, reach, reach))
        mask = np.zeros((reach, reach), np.uint8)
        mask[y - top : y - top + height, x - left : x - left + width] = object_mask(
            labels, found, value
        )
        yield _tensor(image, mask * 255, side)


def _tensor(image: UInt8, mask: UInt8, side: int) -> Tensor:
    if len(image) != side:
        image, mask = (
            np.asarray(Pillow.fromarray(a).resize((side, side), Pillow.Resampling.BOX))
            for a in (image, mask)
        )
    joined = np.concatenate([image.astype(np.float32) / 127.5 - 1, mask[..., None] / 255], 2)
    return torch.from_numpy(np.moveaxis(joined, 2, 0).astype(np.float32))
