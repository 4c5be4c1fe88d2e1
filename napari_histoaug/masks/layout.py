"""The layout of a painted mask on the disk: an OME-Zarr 0.5 label image whose levels halve."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_histoaug.masks.chunk_files import CHUNK

SMALLEST = 256
"""The coarsest level has no longer side than this: whatever is in view fits on a small canvas."""
_KEY = "napari-histoaug"


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return (height, width) of every level, finest first."""
    shapes = [(int(shape[0]), int(shape[1]))]
    while max(shapes[-1]) > SMALLEST:
        height, width = shapes[-1]
        shapes.append(((height + 1) // 2, (width + 1) // 2))
    return shapes


def create_group(
    folder: Path,
    shapes: Sequence[tuple[int, int]],
    classes: Sequence[str],
    mpp: tuple[float, float] | None,
) -> None:
    """Make the group and its empty arrays."""
    import zarr
    from zarr.codecs import ZstdCodec

    attributes = {
        "ome": {
            "version": "0.5",
            "multiscales": [_multiscale(len(shapes), mpp)],
            "image-label": {"version": "0.5", "source": {}},
        },
        _KEY: {"classes": list(classes)},
    }
    group = zarr.create_group(store=folder, zarr_format=3, attributes=attributes)
    for index, shape in enumerate(shapes):
        group.create_array(
            str(index),
            shape=shape,
            chunks=(CHUNK, CHUNK),
            dtype="uint8",
            fill_value=0,
            compressors=ZstdCodec(),
            dimension_names=("y", "x"),
        )


def read_classes(folder: Path) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return the shape of level 0 and the class names of a stored mask."""
    group = _document(folder)
    array = _document(folder / "0")
    height, width = array["shape"]
    return (int(height), int(width)), tuple(map(str, group["attributes"][_KEY]["classes"]))


def write_classes(folder: Path, classes: Sequence[str]) -> None:
    """Replace the class names of a stored mask."""
    document = _document(folder)
    document["attributes"][_KEY]["classes"] = list(classes)
    part = folder / f".zarr.json.{uuid.uuid4().hex}"
    part.write_text(json.dumps(document), "utf-8")
    part.replace(folder / "zarr.json")


def _multiscale(count: int, mpp: tuple[float, float] | None) -> dict[str, Any]:
    unit = {} if mpp is None else {"unit": "micrometer"}
    axes = [{"name": name, "type": "space", **unit} for name in ("y", "x")]
    scale = mpp or (1.0, 1.0)
    datasets = []
    for index in range(count):
        step = 2**index
        transforms: list[dict[str, Any]] = [
            {"type": "scale", "scale": [scale[0] * step, scale[1] * step]}
        ]
        if index:
            # a coarse pixel's centre lies in the middle of those it covers
            shift = [(step - 1) / 2 * scale[0], (step - 1) / 2 * scale[1]]
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    return {"axes": axes, "datasets": datasets, "name": "painted", "type": "maximum"}


def _document(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "zarr.json").read_text("utf-8"))
    return document
