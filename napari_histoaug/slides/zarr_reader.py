"""OME-Zarr folders (0.4 and 0.5) through zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store

from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.pixel_size import believable
from napari_histoaug.slides.reader import Box, Reader

_MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}


class ZarrReader:
    """The first multiscale image of an OME-Zarr group, which must be 8-bit RGB in one plane.

    Parameters
    ----------
    path : pathlib.Path
        The group's folder; with a `store`, the image's name for error sentences.
    store : zarr.abc.store.Store, optional
        Where the group is instead; its own OSErrors are raised as they are.

    Raises
    ------
    SlideError
        When the folder is no such image.
    """

    vendor = "ome-zarr"
    bounds: Box | None = None

    def __init__(self, path: Path, store: Store | None = None) -> None:
        self.path, self._store = path, store
        multiscale, group = _multiscale(path, store)
        names = [axis["name"] for axis in multiscale["axes"]]
        try:
            arrays = [group[dataset["path"]] for dataset in multiscale["datasets"]]
        except KeyError as error:
            raise SlideError(
                f"{path.name} lacks the level {error} its metadata names; copy it again."
            ) from error
        self.arrays: list[zarr.Array] = [a for a in arrays if isinstance(a, zarr.Array)]
        self._axes = names
        for array in self.arrays:
            _check(path, names, array)
        y, x = names.index("y"), names.index("x")
        self.shapes = tuple((a.shape[y], a.shape[x]) for a in self.arrays)
        self.tile_shapes = tuple((a.chunks[y], a.chunks[x]) for a in self.arrays)
        self.mpp = _pixel_size(multiscale, y, x)

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) from inside a level; see :class:`Reader`."""
        wanted: dict[str, Any] = {"y": slice(y, y + height), "x": slice(x, x + width)}
        wanted["c"] = slice(0, 3)
        try:
            block = self.arrays[level][tuple(wanted.get(name, 0) for name in self._axes)]
        except (RuntimeError, ValueError, OSError) as error:
            raise TileError(str(error) or type(error).__name__) from error
        order = [name for name in self._axes if name in wanted]
        return np.ascontiguousarray(np.transpose(block, [order.index(name) for name in "yxc"]))

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return bool (height, width), all True: a zarr array has a value everywhere."""
        return np.ones((height, width), np.bool_)

    def icc_profile(self) -> bytes | None:
        """None: OME-Zarr has no place for a colour profile."""
        return None

    def reopen(self, own: bool) -> Reader:
        """Return a new reader of the same folder."""
        return ZarrReader(self.path, self._store)

    def share(self) -> None:
        """Do nothing: there is no handle to share."""

    def close(self) -> None:
        """Nothing is held open."""


def _multiscale(path: Path, store: Store | None) -> tuple[dict[str, Any], zarr.Group]:
    try:
        group = zarr.open_group(str(path) if store is None else store, mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        found: dict[str, Any] = attributes.get("ome", attributes)["multiscales"][0]
        if {"y", "x", "c"} <= {axis["name"] for axis in found["axes"]}:
            return found, group
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        if store is not None and isinstance(error, OSError):
            raise
        raise SlideError(
            f"{path.name} is a folder without an OME-Zarr image; choose the slide's file or the "
            "folder that contains the image's zarr.json or .zattrs."
        ) from error
    raise SlideError(f"{path.name} has no y, x and c axes, so it is not an RGB image.")


def _check(path: Path, names: list[str], array: zarr.Array) -> None:
    sides = dict(zip(names, array.shape, strict=True))
    others = [sides[name] for name in names if name not in {"y", "x", "c"}]
    if array.dtype != np.uint8 or sides["c"] != 3 or any(side != 1 for side in others):
        raise SlideError(
            f"{path.name} holds {array.dtype} pixels of shape {array.shape}, not one plane of "
            "8-bit RGB; convert it first."
        )


def _pixel_size(multiscale: dict[str, Any], y: int, x: int) -> tuple[float, float] | None:
    axes = multiscale["axes"]
    factors = [_MICROMETRES.get(axes[i].get("unit", "")) for i in (y, x)]
    transforms = multiscale["datasets"][0].get("coordinateTransformations", [])
    scales = [t["scale"] for t in transforms if t.get("type") == "scale"]
    if not scales or None in factors:
        return None
    return believable(*(scales[0][i] * f for i, f in zip((y, x), factors, strict=True) if f))
