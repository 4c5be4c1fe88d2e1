"""Tiles that could not be decoded: how they are recorded, shown, and when they are too many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.reader import Box, grid_pieces

_HATCH_PERIOD, _HATCH_INK = 16, (200, 60, 160)


class Failure(NamedTuple):
    """One tile of the file that could not be decoded, and why."""

    level: int
    row: int
    column: int
    message: str


def hatched(y: int, x: int, height: int, width: int) -> np.ndarray:
    """Return the placeholder of unreadable pixels: diagonal stripes that fit across tiles."""
    diagonal = np.add.outer(np.arange(y, y + height), np.arange(x, x + width)) % _HATCH_PERIOD
    out = np.full((height, width, 3), 255, np.uint8)
    out[diagonal < _HATCH_PERIOD // 4] = _HATCH_INK
    return out


def refuse_damaged(
    name: str,
    failures: Iterable[Failure],
    level: int,
    tile_shape: tuple[int, int],
    boxes: Iterable[Box],
    most: float,
) -> None:
    """Raise when more than a share of the tiles under some boxes is damaged.

    Parameters
    ----------
    name : str
        The slide's file name, for the sentence.
    failures : iterable of Failure
    level : int
    tile_shape : (height, width)
        The file's tiles at that level.
    boxes : iterable of (y, x, height, width)
        Where tissue is, in pixels of the level.
    most : float
        Largest tolerated share.

    Raises
    ------
    SlideError
    """
    bad = {(row, column) for at, row, column, _ in failures if at == level}
    if not bad:
        return
    tissue = {(row, column) for box in boxes for row, column, _ in grid_pieces(box, *tile_shape)}
    damaged = len(bad & tissue)
    if damaged > most * len(tissue):
        raise SlideError(
            f"{name} is too damaged to use: {damaged} of its {len(tissue)} tissue tiles cannot be "
            f"decoded, more than {most:.1%}; copy it again from its source."
        )
