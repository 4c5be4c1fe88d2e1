"""What a reader of one file format offers to :class:`~napari_histoaug.slides.slide.Slide`."""

from __future__ import annotations

from typing import Protocol

import numpy as np


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
    """

    vendor: str
    shapes: tuple[tuple[int, int], ...]
    tile_shapes: tuple[tuple[int, int], ...]
    mpp: tuple[float, float] | None

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) of a box that lies inside the level.

        Raises
        ------
        TileError
            When any part of it cannot be decoded.
        """
        ...

    def reopen(self) -> Reader:
        """Return a new reader of the same file with a fresh handle."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def on_white(rgb: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
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
