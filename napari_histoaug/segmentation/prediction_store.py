"""A prediction on disk: an OME-Zarr 0.5 image of probabilities with its label masks.

::

    prediction.zarr/
        0, 1, ...            probabilities, uint8 (classes, y, x), 255 = certain
        labels/classes/0 ... 0 background, else 1 + class index, by the segmenter's thresholds
        labels/valid/0 ...   1 where the slide could be read

Level 0 is written in blocks that are the arrays' shards, so that two blocks never touch one file.
Coarse levels hold the mean of probabilities and the maximum of labels: small vessels stay visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from napari_histoaug.segmentation.errors import SegmentationError

CHUNK = 512
BLOCK = 2048
SMALLEST = 1024
ATTRIBUTE = "histoaug"
CLASSES, VALID = "labels/classes", "labels/valid"

UInt8 = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


class PredictionStore:
    """A prediction that is written block by block, or was written.

    Attributes
    ----------
    group : zarr.Group
    shape : (int, int)
        Height and width of level 0.
    """

    def __init__(self, group: zarr.Group) -> None:
        self.group = group
        _, height, width = self._array("0").shape
        self.shape = (height, width)

    @classmethod
    def create(
        cls,
        folder: Path,
        shape: tuple[int, int],
        classes: Sequence[str],
        mpp: tuple[float, float] | None,
        colours: Sequence[Colour],
    ) -> PredictionStore:
        """Make an empty prediction; `folder` must not exist.

        Parameters
        ----------
        shape : (int, int)
            Height and width at the prediction's pixel size.
        classes : sequence of str
        mpp : (float, float) or None
            Micrometres per pixel, (y, x).
        colours : sequence of (int, int, int)
            Of the classes in the label mask.
        """
        group = zarr.create_group(str(folder))
        sizes = level_shapes(shape)
        for level, size in enumerate(sizes):
            create_array(group, str(level), (len(classes), *size))
            create_array(group, f"{CLASSES}/{level}", size)
            create_array(group, f"{VALID}/{level}", size)
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [describe_levels("probabilities", sizes, mpp, ("c", "y", "x"), "mean")],
            "omero": {"channels": [_channel(n, c) for n, c in zip(classes, colours, strict=True)]},
        }
        _group(group, "labels").attrs["ome"] = {"version": "0.5", "labels": ["classes", "valid"]}
        tables = {CLASSES: [(i + 1, c) for i, c in enumerate(colours)], VALID: [(1, (90, 90, 90))]}
        for path, table in tables.items():
            _group(group, path).attrs["ome"] = {
                "version": "0.5",
                "multiscales": [describe_levels(path, sizes, mpp, ("y", "x"), "max")],
                "image-label": {
                    "colors": [{"label-value": v, "rgba": [*c, 255]} for v, c in table],
                    "source": {"image": "../../"},
                },
            }
        return cls(group)

    @classmethod
    def open(cls, folder: Path) -> PredictionStore:
        """Open a finished prediction for reading.

        Raises
        ------
        SegmentationError
            When the folder is none, or was not finished.
        """
        try:
            group = zarr.open_group(str(folder), mode="r")
            complete = group.attrs[ATTRIBUTE]["complete"]  # type: ignore[index, call-overload]
        except (OSError, KeyError, TypeError, ValueError):
            complete = False
        if not complete:
            raise SegmentationError(
                f"{folder.name} is not a finished prediction; run the prediction again."
            )
        return cls(group)

    @classmethod
    def create_like(cls, folder: Path, other: PredictionStore) -> PredictionStore:
        """Make an empty prediction of the size, classes and colours of another."""
        ome: Any = other.group[CLASSES].attrs["ome"]
        shown = [entry["rgba"] for entry in ome["image-label"]["colors"]]
        colours = [(int(r), int(g), int(b)) for r, g, b, _ in shown]
        return cls.create(folder, other.shape, other.facts["classes"], other.mpp, colours)

    @classmethod
    def resume(cls, folder: Path) -> PredictionStore:
        """Open an unfinished prediction for more writing."""
        return cls(zarr.open_group(str(folder), mode="r+"))

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per pixel of level 0, (y, x); None where the slide has no pixel size."""
        ome: Any = self.group.attrs["ome"]
        scales = ome["multiscales"][0]
        if any(axis.get("unit") != "micrometer" for axis in scales["axes"][-2:]):
            return None
        scale = scales["datasets"][0]["coordinateTransformations"][0]["scale"]
        return float(scale[-2]), float(scale[-1])

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance: segmenter, slide id, classes, thresholds, failed tiles."""
        return dict(self.group.attrs[ATTRIBUTE])  # type: ignore[arg-type]

    def finish(self, facts: dict[str, Any]) -> None:
        """Record the provenance; from then on the prediction counts as complete."""
        self.group.attrs[ATTRIBUTE] = {**facts, "complete": True}

    def levels(self, path: str = "") -> list[zarr.Array]:
        """Arrays of the probabilities, or of :data:`CLASSES` or :data:`VALID`, finest first."""
        prefix = f"{path}/" if path else ""
        return [self._array(f"{prefix}{n}") for n in range(len(level_shapes(self.shape)))]

    def write(self, box: Box, probabilities: UInt8, labels: UInt8, valid: UInt8) -> None:
        """Write one block of level 0; blocks lie on a grid of :data:`BLOCK` pixels."""
        y, x, height, width = box
        if y % BLOCK or x % BLOCK:
            raise ValueError(f"the block at {y}, {x} is not on the grid of {BLOCK} pixels")
        rows, columns = slice(y, y + height), slice(x, x + width)
        self._array("0")[:, rows, columns] = probabilities
        self._array(f"{CLASSES}/0")[rows, columns] = labels
        self._array(f"{VALID}/0")[rows, columns] = valid

    def coarsen(self, stop: Callable[[], None]) -> None:
        """Make the coarse levels, each from the one before it, a block at a time.

        `stop` is called before every block, and may raise.
        """
        for path, reduce in (("", _mean), (CLASSES, _maximum), (VALID, _maximum)):
            coarsen_levels(self.levels(path), reduce, stop)

    def _array(self, path: str) -> zarr.Array:
        found = self.group[path]
        assert isinstance(found, zarr.Array)
        return found


def coarsen_levels(
    levels: Sequence[zarr.Array],
    reduce: Callable[[npt.NDArray[np.generic]], UInt8],
    stop: Callable[[], None],
) -> None:
    """Make coarse levels, each from the one before it, a block at a time.

    Parameters
    ----------
    levels : sequence of zarr.Array, (..., H, W)
        Finest first.
    reduce : callable
        Halves a part.
    stop : callable
        Called before every block; may raise.
    """
    for fine, coarse in pairwise(levels):
        for y, x, height, width in blocks((coarse.shape[-2], coarse.shape[-1])):
            stop()
            part = np.asarray(fine[..., 2 * y : 2 * (y + height), 2 * x : 2 * (x + width)])
            if part.any():
                coarse[..., y : y + height, x : x + width] = reduce(part)


def blocks(shape: tuple[int, int]) -> Iterator[Box]:
    """Cut an array (H, W) into boxes (y, x, height, width) on the grid of :data:`BLOCK` pixels."""
    for y in range(0, shape[0], BLOCK):
        for x in range(0, shape[1], BLOCK):
            yield y, x, min(BLOCK, shape[0] - y), min(BLOCK, shape[1] - x)


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Shapes of all levels: halved until no side exceeds :data:`SMALLEST`."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def create_array(group: zarr.Group, path: str, shape: tuple[int, ...]) -> None:
    """Make an empty uint8 array whose shards are the blocks of :func:`blocks`."""
    # A chunk holds one class, so that a viewer showing one reads no other.
    lead = (1,) * (len(shape) - 2)
    group.create_array(
        path,
        shape=shape,
        dtype="uint8",
        chunks=(*lead, CHUNK, CHUNK),
        shards=(*shape[:-2], BLOCK, BLOCK),
        fill_value=0,
        compressors=ZstdCodec(level=3),
        dimension_names=("c", "y", "x")[-len(shape) :],
    )


def describe_levels(
    name: str,
    sizes: Sequence[tuple[int, int]],
    mpp: tuple[float, float] | None,
    axes: Sequence[str],
    kind: str,
) -> dict[str, Any]:
    """The OME-Zarr ``multiscales`` entry of arrays 0, 1, ...; `kind` tells how they shrink."""
    unit = {"unit": "micrometer"} if mpp else {}
    dy, dx = mpp or (1.0, 1.0)
    lead = [1.0] * (len(axes) - 2)
    datasets = []
    for level, (height, width) in enumerate(sizes):
        scale = [*lead, dy * sizes[0][0] / height, dx * sizes[0][1] / width]
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    return {
        "name": name.rsplit("/", 1)[-1],
        "axes": [
            {"name": n, "type": "channel"} if n == "c" else {"name": n, "type": "space", **unit}
            for n in axes
        ],
        "datasets": datasets,
        "type": kind,
    }


def _channel(name: str, colour: Colour) -> dict[str, Any]:
    return {
        "label": name,
        "color": "".join(f"{part:02X}" for part in colour),
        "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        "active": True,
    }


def _group(group: zarr.Group, path: str) -> zarr.Group:
    return group.require_group(path)


def _mean(part: npt.NDArray[np.generic]) -> UInt8:
    cells = _cells(part).astype(np.uint16)
    return ((cells.sum(0) + 2) // 4).astype(np.uint8)


def _maximum(part: npt.NDArray[np.generic]) -> UInt8:
    return np.asarray(_cells(part).max(0), np.uint8)


def _cells(part: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The four pixels (4, ..., h, w) under each coarse one; edge pixels are repeated."""
    height, width = part.shape[-2:]
    lead = ((0, 0),) * (part.ndim - 2)
    whole = np.pad(part, (*lead, (0, height % 2), (0, width % 2)), mode="edge")
    return np.stack([whole[..., i::2, j::2] for i in (0, 1) for j in (0, 1)])
