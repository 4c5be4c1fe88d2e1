"""Square tiles of every level of a slide, also of levels the file does not have."""

from __future__ import annotations

import functools
import os
from collections.abc import Hashable

import numpy as np

from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.plan import TILE, plan_levels
from napari_histoaug.slides.resampling import averaged_block
from napari_histoaug.slides.sidecar_place import open_levels
from napari_histoaug.slides.slide import Slide

#: Decoded tiles of all slides together.
_SHARED_BYTES = 256 * 2**20


def served_tiles() -> ArrayCache:
    """Return the cache that the slides of this process share."""
    return _served_tiles(os.getpid())


@functools.cache
def _served_tiles(process: int) -> ArrayCache:
    # A forked child gets its own: the copy of a lock may be held by nobody.
    return ArrayCache(_SHARED_BYTES)


class TileSource:
    """Tiles of the slide as it is on the glass, kept in a bounded cache.

    A level comes from the slide's sidecar when that holds it, else from the slide itself, else it
    is averaged from the level before it.

    Parameters
    ----------
    slide : Slide
    cache : ArrayCache
        Where decoded tiles are kept; it may serve other slides too.
    at_once : bool
        False: rather do without a sidecar than hash a large slide now.
    """

    def __init__(self, slide: Slide, cache: ArrayCache, at_once: bool = True) -> None:
        self.slide = slide
        self.levels = plan_levels(slide)
        self.cache = cache
        self._sidecar = open_levels(slide, at_once)
        # Tiles of this source only: what another one saw of a damaged file is not in our ledger.
        self._mine = object()

    def tile(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the tile, uint8 (TILE, TILE, 3), white beyond the slide's edge; do not write."""
        inside = self._inside(level, row, column)
        if inside.shape == (TILE, TILE, 3):
            return inside
        out = np.full((TILE, TILE, 3), 255, np.uint8)
        out[: inside.shape[0], : inside.shape[1]] = inside
        return out

    def forget(self, box: tuple[int, int, int, int]) -> None:
        """Drop the decoded tiles that touch a level-0 box (y, x, height, width).

        Averaged levels are kept: they hold the slide's own pixels, which do not change, and
        making them anew may mean reading the whole slide.
        """
        y, x, height, width = box

        def touches(key: Hashable) -> bool:
            if not isinstance(key, tuple) or key[0] is not self._mine:
                return False
            _, level, row, column = key
            dy, dx = self.levels[level].downsample
            return bool(
                self.levels[level].stored is not None
                and row * TILE * dy < y + height
                and (row + 1) * TILE * dy > y
                and column * TILE * dx < x + width
                and (column + 1) * TILE * dx > x
            )

        self.cache.drop(touches)

    def _inside(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the part of a tile that lies on the slide, which is what is kept."""
        key = (self._mine, level, row, column)
        return self.cache.get(key, lambda: self._make(level, row, column))

    def _make(self, level: int, row: int, column: int) -> np.ndarray:
        pixels = self._kept(level, row, column)
        if pixels is not None:
            return pixels
        y, x = row * TILE, column * TILE
        served = self.levels[level]
        box = (y, x, min(TILE, served.shape[0] - y), min(TILE, served.shape[1] - x))
        if served.stored is not None:
            return self.slide.read_block(served.stored, *box)
        finer = self.levels[level - 1].shape
        return averaged_block(
            lambda *fine: self._assemble(level - 1, *fine), finer, served.shape, box
        )

    def _kept(self, level: int, row: int, column: int) -> np.ndarray | None:
        """Return a tile from the sidecar; None when that lacks the level or has gone bad."""
        kept = self._sidecar.get(level)
        if kept is None:
            return None
        pixels = kept.tile(row, column)
        if pixels is None:
            self._sidecar.pop(level, None)
        return pixels

    def _assemble(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        stored = self.levels[level].stored
        if level not in self._sidecar and stored is not None:
            return self.slide.read_block(stored, y, x, height, width)
        out = np.empty((height, width, 3), np.uint8)
        for row in range(y // TILE, (y + height - 1) // TILE + 1):
            for column in range(x // TILE, (x + width - 1) // TILE + 1):
                top, left = row * TILE, column * TILE
                y0, x0 = max(y, top), max(x, left)
                y1, x1 = min(y + height, top + TILE), min(x + width, left + TILE)
                out[y0 - y : y1 - y, x0 - x : x1 - x] = self._inside(level, row, column)[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return out
