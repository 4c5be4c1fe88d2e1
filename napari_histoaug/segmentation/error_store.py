"""Error maps on disk: OME-Zarr 0.5 label images, one a class, written block by block.

::

    errors.zarr/
        labels/<class>/0 ...     values of Outcome: 0, true positive, false positive, false negative

Coarse levels never vote an error away, see :func:`~.error_map.coarser`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from napari_histoaug.segmentation.error_map import COLOURS, Outcome, coarser
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.prediction_store import (
    coarsen_levels,
    create_array,
    describe_levels,
    level_shapes,
)

Box = tuple[int, int, int, int]
UInt8 = npt.NDArray[np.uint8]
PALETTE = "thesis"


class ErrorStore:
    """The error maps of some classes, being written.

    Parameters
    ----------
    group : zarr.Group
    classes : sequence of str
    shape : (int, int)
        Height and width of level 0.
    """

    def __init__(self, group: zarr.Group, classes: Sequence[str], shape: tuple[int, int]) -> None:
        self.group, self.classes, self.shape = group, tuple(classes), shape

    def write(self, name: str, box: Box, outcomes: UInt8) -> None:
        """Write a block of level 0; an empty one takes no room."""
        if outcomes.any():
            y, x, height, width = box
            self.levels(name)[0][y : y + height, x : x + width] = outcomes

    def levels(self, name: str) -> list[zarr.Array]:
        """Arrays of a class, finest first."""
        found: list[Any] = [
            self.group[f"labels/{name}/{level}"] for level in range(len(level_shapes(self.shape)))
        ]
        return found


@contextmanager
def error_store(
    folder: Path,
    classes: Sequence[str],
    shape: tuple[int, int],
    mpp: tuple[float, float] | None,
    palette: str = PALETTE,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[ErrorStore]:
    """Make error maps; they appear in `folder` whole when the block ends, or not at all.

    Parameters
    ----------
    palette : str
        One of :data:`~.error_map.COLOURS`.
    stop : callable
        Called now and then while coarse levels are made; may raise.

    Raises
    ------
    SegmentationError
        When the folder exists, or there is no such palette.
    """
    if palette not in COLOURS:
        raise SegmentationError(f"There is no palette {palette!r}; use {' or '.join(COLOURS)}.")
    if folder.exists():
        raise SegmentationError(f"{folder} exists; choose another name or delete it first.")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        group = zarr.create_group(str(part))
        for name in classes:
            _describe(group, name, shape, mpp, palette)
        group["labels"].attrs["ome"] = {"version": "0.5", "labels": list(classes)}
        store = ErrorStore(group, classes, shape)
        yield store
        for name in classes:
            coarsen_levels(store.levels(name), _coarser, stop)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _coarser(part: npt.NDArray[np.generic]) -> UInt8:
    return coarser(np.asarray(part, np.uint8))


def _describe(
    group: zarr.Group,
    name: str,
    shape: tuple[int, int],
    mpp: tuple[float, float] | None,
    palette: str,
) -> None:
    sizes = level_shapes(shape)
    for level, size in enumerate(sizes):
        create_array(group, f"labels/{name}/{level}", size)
    colours = COLOURS[palette]
    group[f"labels/{name}"].attrs["ome"] = {
        "version": "0.5",
        "multiscales": [describe_levels(name, sizes, mpp, ("y", "x"), "errors first")],
        "image-label": {
            "colors": [{"label-value": int(o), "rgba": [*c, 255]} for o, c in colours.items()],
            "properties": [
                {"label-value": int(outcome), "class": outcome.name.lower().replace("_", " ")}
                for outcome in list(Outcome)[1:]
            ],
        },
    }
