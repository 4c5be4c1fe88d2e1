"""The OME-Zarr 0.5 documents of a pyramid: no names, no free text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_histoaug.slides.plan import TILE, PyramidLevel


def ome_group(
    levels: Mapping[int, PyramidLevel], mpp: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the root ``zarr.json`` of an image whose arrays are named by their keys.

    Parameters
    ----------
    levels : mapping of int to PyramidLevel
        Finest first.
    mpp : (y, x) or None
        Micrometres per pixel of level 0; None leaves the unit out and counts in pixels.
    """
    unit = {"unit": "micrometer"} if mpp else {}
    size_y, size_x = mpp or (1.0, 1.0)
    datasets = []
    for name, level in levels.items():
        scale = [level.downsample[0] * size_y, level.downsample[1] * size_x, 1.0]
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": str(name), "coordinateTransformations": [transform]})
    axes = [
        {"name": "y", "type": "space", **unit},
        {"name": "x", "type": "space", **unit},
        {"name": "c", "type": "channel"},
    ]
    multiscales = [{"name": "slide", "axes": axes, "datasets": datasets, "type": "mean"}]
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
    }


def array_document(shape: tuple[int, int]) -> dict[str, Any]:
    """Return the ``zarr.json`` of one level of uncompressed tiles, uint8 (y, x, c)."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [*shape, 3],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [TILE, TILE, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 255,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
        "dimension_names": ["y", "x", "c"],
    }
