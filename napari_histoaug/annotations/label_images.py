"""Writing annotations as an OME-Zarr 0.5 label image, block by block."""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.showing import Picture
from napari_histoaug.errors import Cancelled

NAME = "annotations"
_BLOCK, _CHUNK, _COARSEST = 2048, 512, 1024


def write_label_image(
    picture: Picture,
    path: str | Path,
    shape: tuple[int, int],
    mpp: tuple[float, float] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write all classes of a picture as ``labels/annotations`` of a new OME-Zarr 0.5 group.

    Coarser levels keep every class that a pixel of them holds any of. Empty blocks take no room.

    Parameters
    ----------
    picture : Picture
        Hidden classes are left out.
    path : path
        The group to make; it must not exist.
    shape : tuple of int
        (height, width) of the slide at level 0.
    mpp : (y, x), optional
        Micrometres per pixel.
    progress : callable, optional
        Called with the blocks written and their number.
    cancelled : callable, optional
        Asked before each block.

    Returns
    -------
    pathlib.Path
        The group. It appears whole or not at all.

    Raises
    ------
    AnnotationError
        When it exists already or cannot be written.
    Cancelled
        When ``cancelled`` said so.
    """
    path = Path(path)
    if path.exists():
        raise AnnotationError(f"{path} exists already; choose a new name.")
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        group = zarr.create_group(temporary, zarr_format=3)
        group.create_group("labels").attrs["ome"] = {"version": "0.5", "labels": [NAME]}
        levels = _levels(picture, group.create_group(f"labels/{NAME}"), shape, mpp)
        _fill(picture, levels, progress, cancelled)
        temporary.rename(path)
    except OSError as error:
        raise AnnotationError(
            f"The label image cannot be written to {path} ({error.strerror or error})."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _levels(
    picture: Picture, group: zarr.Group, shape: tuple[int, int], mpp: tuple[float, float] | None
) -> list[zarr.Array]:
    """Make the empty arrays, each half of the one before, and say what they mean."""
    arrays: list[zarr.Array] = []
    datasets: list[dict[str, Any]] = []
    height, width = shape
    while not arrays or max(arrays[-1].shape) > _COARSEST:
        step = 2 ** len(arrays)
        size = (-(-height // step), -(-width // step))
        array = group.create_array(
            str(len(arrays)),
            shape=size,
            chunks=(min(_CHUNK, size[0]), min(_CHUNK, size[1])),
            dtype=picture.dtype,
            fill_value=0,
            dimension_names=("y", "x"),
        )
        arrays.append(array)
        scale = [step * pixel for pixel in mpp or (1.0, 1.0)]
        # pixel centres: a coarse pixel's lies between those of the fine ones
        middle = [(step - 1) / 2 * pixel for pixel in mpp or (1.0, 1.0)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if step > 1:
            transforms.append({"type": "translation", "translation": middle})
        datasets.append({"path": array.basename, "coordinateTransformations": transforms})
    unit = {"unit": "micrometer"} if mpp else {}
    axes = [{"name": name, "type": "space", **unit} for name in "yx"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"name": NAME, "axes": axes, "datasets": datasets}],
        "image-label": {
            "colors": [
                {"label-value": value, "rgba": [*shown.color, 255]}
                for value, shown in enumerate(picture.classes, start=1)
            ],
            "properties": [
                {"label-value": value, "class": shown.name}
                for value, shown in enumerate(picture.classes, start=1)
            ],
        },
    }
    return arrays


def _fill(
    picture: Picture,
    levels: list[zarr.Array],
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    height, width = levels[0].shape
    corners = [(y, x) for y in range(0, height, _BLOCK) for x in range(0, width, _BLOCK)]
    for done, (y, x) in enumerate(corners, start=1):
        if cancelled is not None and cancelled():
            raise Cancelled("Writing the label image was cancelled.")
        box = (y, x, min(_BLOCK, height - y), min(_BLOCK, width - x))
        if len(picture.index.touching(box)):
            levels[0][y : y + box[2], x : x + box[3]] = picture.paint(box, (1.0, 1.0))
        if progress is not None:
            progress(done, len(corners))
    for fine, coarse in itertools.pairwise(levels):
        _halve(fine, coarse, cancelled)


def _halve(fine: zarr.Array, coarse: zarr.Array, cancelled: Callable[[], bool] | None) -> None:
    """Fill a level from the next finer one: the highest value of every four wins."""
    height, width = coarse.shape
    for y in range(0, height, _BLOCK):
        if cancelled is not None and cancelled():
            raise Cancelled("Writing the label image was cancelled.")
        for x in range(0, width, _BLOCK):
            block = np.asarray(fine[2 * y : 2 * (y + _BLOCK), 2 * x : 2 * (x + _BLOCK)])
            if block.any():
                even = np.pad(block, [(0, side % 2) for side in block.shape])
                small = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).max((1, 3))
                coarse[y : y + small.shape[0], x : x + small.shape[1]] = small
