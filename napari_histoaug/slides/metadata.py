"""The OME-Zarr 0.5 documents of a pyramid: no names, no free text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_histoaug.slides.plan import TILE, PyramidLevel


def ome_group(
    levels: Mapping[str, PyramidLevel], mpp: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the root ``zarr.json`` of an image.

    Parameters
    ----------
    levels : mapping of str to PyramidLevel
        The arrays' paths, finest first. Their axes are (c, y, x), the order OME-Zarr prescribes.
    mpp : (y, x) or None
        Micrometres per pixel of level 0; None leaves the unit out and counts in pixels.
    """
    unit = {"unit": "micrometer"} if mpp else {}
    size_y, size_x = mpp or (1.0, 1.0)
    datasets = []
    for path, level in levels.items():
        scale = [1.0, level.downsample[0] * size_y, level.downsample[1] * size_x]
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": path, "coordinateTransformations": [transform]})
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", **unit},
        {"name": "x", "type": "space", **unit},
    ]
    multiscales = [{"name": "slide", "axes": axes, "datasets": datasets, "type": "mean"}]
    return group_document({"ome": {"version": "0.5", "multiscales": multiscales}})


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``zarr.json`` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def array_document(shape: tuple[int, int], *, channels_first: bool) -> dict[str, Any]:
    """Return the ``zarr.json`` of one level whose chunks are the bytes of tiles (y, x, c).

    Parameters
    ----------
    shape : (height, width)
    channels_first : bool
        Axes (c, y, x), turned when a chunk is decoded; else (y, x, c).
    """
    turn = {"name": "transpose", "configuration": {"order": [1, 2, 0]}}
    chunk = [3, TILE, TILE] if channels_first else [TILE, TILE, 3]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [3, *shape] if channels_first else [*shape, 3],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 255,
        "codecs": [turn, {"name": "bytes"}] if channels_first else [{"name": "bytes"}],
        "attributes": {},
        "dimension_names": ["c", "y", "x"] if channels_first else ["y", "x", "c"],
    }
