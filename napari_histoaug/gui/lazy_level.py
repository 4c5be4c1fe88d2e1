"""Levels of a picture that are read where one looks, as the arrays that napari wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_histoaug.gui.geometry import Box, intersect, slices

Read = Callable[[int, Box], np.ndarray]
"""(level, (y, x, height, width)) to an array (height, width); the box lies inside the level."""


class LazyLevel:
    """One level.

    Parameters
    ----------
    shape : (height, width)
        As the viewer sees it.
    inner : (height, width)
        What can be read; beyond it everything is 0.
    level : int
    read : callable
        See :data:`Read`.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2
    chunks = (512, 512)

    def __init__(
        self, shape: tuple[int, int], inner: tuple[int, int], level: int, read: Read
    ) -> None:
        self.shape = shape
        self.size = shape[0] * shape[1]
        self._inner: Box = (0, 0, *inner)
        self._level, self._read = level, read

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a part, by slices as a viewer asks, or the value of a pixel."""
        key = key if isinstance(key, tuple) else (key,)
        key = (*(part for part in key if part is not Ellipsis), slice(None), slice(None))[:2]
        if any(
            part >= side for part, side in zip(key, self.shape, strict=True) if _is_number(part)
        ):
            # without it a loop over the rows would never end
            raise IndexError(f"{key} lies outside {self.shape}")
        spans = [
            part.indices(side) if isinstance(part, slice) else (int(part), int(part) + 1, 1)
            for part, side in zip(key, self.shape, strict=True)
        ]
        (y, y1, dy), (x, x1, dx) = spans
        box = (y, x, max(y1 - y, 0), max(x1 - x, 0))
        block = np.zeros(box[2:], np.uint8)
        common = intersect(box, self._inner)
        if common is not None:
            block[slices(common, box)] = self._read(self._level, common)
        picks = tuple(slice(None) if isinstance(part, slice) else 0 for part in key)
        out: np.ndarray = block[::dy, ::dx][picks]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def _is_number(part: object) -> bool:
    return not isinstance(part, slice)


def lazy_levels(shapes: Sequence[tuple[int, int]], read: Read) -> list[LazyLevel]:
    """The levels of a picture whose levels halve, finest first.

    The viewer sees shapes that are exact halves, so that the levels lie on each other to the pixel.
    There are two at least: napari takes a list of one lazy array for the array itself.
    """
    if len(shapes) == 1:
        height, width = shapes[0]
        shapes, read = [*shapes, (-(-height // 2), -(-width // 2))], _with_half(read, shapes[0])
    last = len(shapes) - 1
    coarsest = shapes[-1]
    return [
        LazyLevel((coarsest[0] << (last - n), coarsest[1] << (last - n)), inner, n, read)
        for n, inner in enumerate(shapes)
    ]


def _with_half(read: Read, shape: tuple[int, int]) -> Read:
    """Add a coarse level to one that is alone: the largest value of each 2 x 2 pixels."""

    def either(level: int, box: Box) -> np.ndarray:
        if level == 0:
            return read(0, box)
        y, x, height, width = box
        fine = (2 * y, 2 * x, min(2 * height, shape[0] - 2 * y), min(2 * width, shape[1] - 2 * x))
        part = read(0, fine)
        part = np.pad(part, ((0, 2 * height - fine[2]), (0, 2 * width - fine[3])))
        halved: np.ndarray = part.reshape(height, 2, width, 2).max(axis=(1, 3))
        return halved

    return either
