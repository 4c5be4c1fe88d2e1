"""What a reader of one file format offers to :class:`~napari_histoaug.slides.slide.Slide`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

#: A rectangle (y, x, height, width) in the pixels of some level.
Box = tuple[int, int, int, int]


class Reader(Protocol):
    """One open file; every method may be called from several threads at once.

    Attributes
    ----------
    vendor : str
        The format's short name.
    shapes : tuple of (height, width)
        Pixels of every level, finest first.
    tile_shapes : tuple of (height, width)
        The file's own tiles, the unit in which damage is reported.
    mpp : (y, x) or None
        Micrometres per pixel of level 0 as the file states them and as far as they are believable.
    bounds : (y, x, height, width) or None
        The level-0 rectangle that holds tissue, where the format states one.
    """

    vendor: str
    shapes: tuple[tuple[int, int], ...]
    tile_shapes: tuple[tuple[int, int], ...]
    mpp: tuple[float, float] | None
    bounds: Box | None

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) of a box that lies inside the level.

        Raises
        ------
        TileError
            When any part of it cannot be decoded.
        """
        ...

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return bool (height, width) of such a box: False where the file holds no pixels.

        Raises
        ------
        TileError
            As :meth:`read`.
        """
        ...

    def icc_profile(self) -> bytes | None:
        """Return the colour profile of the pixels as the file carries it."""
        ...

    def reopen(self, own: bool) -> Reader:
        """Return another reader of the same file.

        Through a fresh handle of its own, or through the one that this process shares.

        Raises
        ------
        SlideError
            When the file cannot be opened again.
        """
        ...

    def share(self) -> None:
        """Let every reader of the file in this process use this one's handle from now on."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def on_background(
    rgb: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]
) -> np.ndarray:
    """Composite straight-alpha pixels on a background colour.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
    alpha : uint8 (H, W)
    background : (red, green, blue), 0..255

    Returns
    -------
    uint8 (H, W, 3); the very bytes of `rgb` wherever alpha is 255.
    """
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(rgb)
    weight = alpha[..., None].astype(np.uint32)
    paper = np.asarray(background, np.uint32)
    return ((rgb * weight + paper * (255 - weight) + 127) // 255).astype(np.uint8)


def pieces(box: Box, height: int, width: int) -> Iterator[Box]:
    """Cut a rectangle into ones of at most (height, width), row by row."""
    top, left, rows, columns = box
    for y in range(top, top + rows, height):
        for x in range(left, left + columns, width):
            yield y, x, min(height, top + rows - y), min(width, left + columns - x)


def grid_pieces(box: Box, height: int, width: int) -> Iterator[tuple[int, int, Box]]:
    """Cut a rectangle along a grid of (height, width) cells: (row, column, part of the box)."""
    y, x, rows, columns = box
    for row in range(y // height, -(-(y + rows) // height)):
        for column in range(x // width, -(-(x + columns) // width)):
            top, left = max(y, row * height), max(x, column * width)
            bottom = min(y + rows, (row + 1) * height)
            right = min(x + columns, (column + 1) * width)
            yield row, column, (top, left, bottom - top, right - left)
