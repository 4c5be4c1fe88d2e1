"""Square tiles of every level of a slide, also of levels the file does not have."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np

from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.resampling import area_mean
from napari_histoaug.slides.slide import Slide

#: Side of a served tile in pixels, whatever the file's own tiles are.
TILE = 512
#: Levels are added until the coarsest has no longer side than this.
COARSEST = 1024


class PyramidLevel(NamedTuple):
    """One served level: ``shape``, ``downsample`` (dy, dx) and whether the file stores it."""

    shape: tuple[int, int]
    downsample: tuple[float, float]
    stored: bool

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.shape[0] // TILE), -(-self.shape[1] // TILE)


def plan_levels(slide: Slide) -> list[PyramidLevel]:
    """Return the slide's levels and, below them, halved ones down to `COARSEST` pixels."""
    levels = [PyramidLevel(level.shape, level.downsample, True) for level in slide.levels]
    full = levels[0].shape
    while max(levels[-1].shape) > COARSEST:
        height, width = (-(-side // 2) for side in levels[-1].shape)
        levels.append(
            PyramidLevel((height, width), (full[0] / height, full[1] / width), stored=False)
        )
    return levels


class TileSource:
    """Tiles of the slide as it is on the glass, kept in a bounded cache.

    Parameters
    ----------
    slide : Slide
    cache_bytes : int
        Most bytes of decoded tiles kept in memory.
    """

    def __init__(self, slide: Slide, cache_bytes: int) -> None:
        self.slide = slide
        self.levels = plan_levels(slide)
        self.cache = ArrayCache(cache_bytes)

    def tile(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the read-only tile, uint8 (TILE, TILE, 3), white beyond the slide's edge."""
        return self.cache.get((level, row, column), lambda: self._make(level, row, column))

    def forget(self, box: tuple[int, int, int, int]) -> None:
        """Drop the decoded tiles that touch a level-0 box (y, x, height, width).

        Averaged levels are kept: they hold the slide's own pixels, which do not change, and
        making them anew may mean reading the whole slide.
        """
        y, x, height, width = box

        def touches(key: object) -> bool:
            level, row, column = cast("tuple[int, int, int]", key)
            dy, dx = self.levels[level].downsample
            return (
                self.levels[level].stored
                and row * TILE * dy < y + height
                and (row + 1) * TILE * dy > y
                and column * TILE * dx < x + width
                and (column + 1) * TILE * dx > x
            )

        self.cache.drop(touches)

    def _make(self, level: int, row: int, column: int) -> np.ndarray:
        y, x = row * TILE, column * TILE
        if self.levels[level].stored:
            return self.slide.read_block(level, y, x, TILE, TILE)
        height = min(TILE, self.levels[level].shape[0] - y)
        width = min(TILE, self.levels[level].shape[1] - x)
        out = np.full((TILE, TILE, 3), 255, np.uint8)
        out[:height, :width] = self._averaged(level, y, x, height, width)
        return out

    def _averaged(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Average the next finer level, whose own missing levels are averaged first."""
        finer, shape = self.levels[level - 1].shape, self.levels[level].shape
        dy, dx = finer[0] / shape[0], finer[1] / shape[1]
        top, left = math.floor(y * dy), math.floor(x * dx)
        bottom = min(math.ceil((y + height) * dy), finer[0])
        right = min(math.ceil((x + width) * dx), finer[1])
        block = self._assemble(level - 1, top, left, bottom - top, right - left)
        mean = area_mean(block, (top, left), (dy, dx), (y, x, height, width))
        return np.clip(np.rint(mean), 0, 255).astype(np.uint8)

    def _assemble(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        if self.levels[level].stored:
            return self.slide.read_block(level, y, x, height, width)
        out = np.empty((height, width, 3), np.uint8)
        for row in range(y // TILE, (y + height - 1) // TILE + 1):
            for column in range(x // TILE, (x + width - 1) // TILE + 1):
                top, left = row * TILE, column * TILE
                y0, x0 = max(y, top), max(x, left)
                y1, x1 = min(y + height, top + TILE), min(x + width, left + TILE)
                out[y0 - y : y1 - y, x0 - x : x1 - x] = self.tile(level, row, column)[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return out
