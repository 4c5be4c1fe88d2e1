"""Synthetic tissue as OME-Zarr and OME-TIFF files that say that they are synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Size = tuple[float, float]

ATTRIBUTE = "histoaug"  # beside "ome" in a group's attributes, and namespace of the TIFF's notes
COARSEST = 1024  # px; halving stops when both sides are at most so long
TILE = 512


def pyramid(image: Image, *, labels: bool = False) -> list[Image]:
    """An image (H, W, ...) and its halvings: means of 2 x 2 pixels, or every second label."""
    levels = [image]
    while max(levels[-1].shape[:2]) > COARSEST:
        levels.append(levels[-1][::2, ::2] if labels else _halved(levels[-1]))
    return levels


def _halved(image: Image) -> Image:
    even = np.pad(image, [(0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)], mode="edge")
    total = sum(even[y::2, x::2].astype(np.uint16) for y in (0, 1) for x in (0, 1))
    return ((np.asarray(total) + 2) // 4).astype(np.uint8)


def write_ome_zarr(
    folder: Path,
    image: Image,
    labels: Labels,
    classes: Sequence[str],
    mpp: Size,
    provenance: Mapping[str, Any],
) -> None:
    """Write an OME-Zarr 0.5 image with its label map.

    Parameters
    ----------
    folder : Path
        Made here; must not exist.
    image : uint8, (H, W, 3)
    labels : uint8, (H, W)
        What the image was made from; kept as the label image "classes".
    classes : sequence of str
        Names of the label values 1, 2, ...
    mpp : (float, float)
        Micrometres per pixel, (y, x).
    provenance : mapping
        What can be written as JSON; kept in the attribute "histoaug".
    """
    group = zarr.create_group(str(folder))
    levels = pyramid(image)
    for n, level in enumerate(levels):
        _put(group, str(n), np.moveaxis(level, 2, 0), ("c", "y", "x"))
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [_multiscales("image", levels, mpp, ("c", "y", "x"))],
        "omero": {"channels": [_channel(*named) for named in _RGB]},
    }
    group.attrs[ATTRIBUTE] = {"synthetic": True, **provenance}
    kept = group.create_group("labels")
    kept.attrs["ome"] = {"version": "0.5", "labels": ["classes"]}
    own = kept.create_group("classes")
    levels = pyramid(labels, labels=True)
    for n, level in enumerate(levels):
        _put(own, str(n), level, ("y", "x"))
    own.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [_multiscales("classes", levels, mpp, ("y", "x"))],
        "image-label": {
            "properties": [{"label-value": n + 1, "class": name} for n, name in enumerate(classes)],
            "source": {"image": "../../"},
        },
    }


_RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


def _channel(name: str, colour: str) -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {"label": name, "color": colour, "window": window, "active": True}


def _put(group: zarr.Group, path: str, content: Image, names: Sequence[str]) -> None:
    chunks = tuple(min(TILE, n) for n in content.shape)
    array = group.create_array(
        path, shape=content.shape, chunks=chunks, dtype="uint8", dimension_names=names
    )
    array[:] = content


def _multiscales(
    name: str, levels: Sequence[Image], mpp: Size, axes: Sequence[str]
) -> dict[str, Any]:
    lead = [1.0] * (len(axes) - 2)
    datasets = []
    for n in range(len(levels)):
        transform = {"type": "scale", "scale": [*lead, mpp[0] * 2**n, mpp[1] * 2**n]}
        datasets.append({"path": str(n), "coordinateTransformations": [transform]})
    space = {"type": "space", "unit": "micrometer"}
    return {
        "name": name,
        "axes": [
            {"name": a, "type": "channel"} if a == "c" else {"name": a, **space} for a in axes
        ],
        "datasets": datasets,
    }


def write_ome_tiff(path: Path, image: Image, mpp: Size, provenance: Mapping[str, Any]) -> None:
    """Write a lossless tiled pyramid OME-TIFF.

    Parameters
    ----------
    path : Path
    image : uint8, (H, W, 3)
    mpp : (float, float)
        Micrometres per pixel, (y, x).
    provenance : mapping
        Kept as key-value annotation of the image, beside a description that says "synthetic".
    """
    levels = pyramid(image)
    notes = {"synthetic": "true", **{key: str(value) for key, value in provenance.items()}}
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": mpp[1],
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp[0],
        "PhysicalSizeYUnit": "µm",
        "Description": "Synthetic tissue made by napari-histoaug; not a specimen.",
        "MapAnnotation": {"Namespace": ATTRIBUTE, **notes},
    }
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",
        "compression": "deflate",
        "predictor": True,
    }
    with tifffile.TiffWriter(path, ome=True, bigtiff=image.nbytes > 2**31) as writer:
        for n, level in enumerate(levels):
            resolution = (1e4 / (mpp[1] * 2**n), 1e4 / (mpp[0] * 2**n))
            writer.write(
                level,
                subifds=len(levels) - 1 if n == 0 else None,
                subfiletype=int(n > 0),
                metadata=metadata if n == 0 else None,
                resolution=resolution,
                resolutionunit="CENTIMETER",
                **options,
            )
