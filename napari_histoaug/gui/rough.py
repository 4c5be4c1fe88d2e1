"""A rough picture of a slide whose coarse levels would take too long to make on the spot.

napari asks for the whole coarsest level as soon as a layer is added, on the main thread. Of a slide
without coarse levels that would be a decode of all of level 0. So what is shown until the overview
is built is made of a *coarse sampling*: as many of the file's tiles or strips, evenly spread, as
:data:`MOST_SAMPLED` pixels allow, each by its mean colours, and every other place by the nearest of
them. Where a single tile of the file is larger than that it is plain grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_histoaug.slides import Slide
    from napari_histoaug.slides.pyramid import Overlay

MOST_SAMPLED = 2**23
"""Stored pixels decoded for the rough picture: a fraction of a second."""
GREY = 192
_CELLS = 1024
"""Cells a side, at most."""


class RoughPicture:
    """The sampled colours of a slide, made when they are first asked for.

    Parameters
    ----------
    slide : Slide
    most : int
        Stored pixels to decode at most.
    """

    def __init__(self, slide: Slide, most: int = MOST_SAMPLED) -> None:
        self._slide, self._most = slide, most
        self._level = len(slide.levels) - 1
        self._cells: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def colours(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return uint8 (len(y), len(x), 3) for places given as shares (0 to 1) of both sides."""
        if self._cells is None:
            self._cells = self._sample()
        rows, columns, cells = self._cells
        return cells[_nearest(rows, y)[:, None], _nearest(columns, x)]

    def _sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the centres of the cells on both axes, as shares, and their colours."""
        shape, tile = self._slide.levels[self._level].shape, self._slide.tile_shapes[self._level]
        sides = [min(t, s) for t, s in zip(tile, shape, strict=True)]
        grid = [-(-s // t) for s, t in zip(shape, sides, strict=True)]
        count = self._most // (sides[0] * sides[1])
        if count < 1:
            centre = np.array([0.5])
            return centre, centre, np.full((1, 1, 3), GREY, np.uint8)
        chosen = _spread(grid, count)
        pitches = [_pitch(s, n, g) for s, n, g in zip(shape, chosen, grid, strict=True)]
        marks = [_marks(shape[axis], sides[axis], chosen[axis], pitches) for axis in (0, 1)]
        rows = [self._row(y, marks[1]) for y in marks[0]]
        centres = [
            np.concatenate([(edges[:-1] + edges[1:]) / 2 for edges in axis]) / side
            for axis, side in zip(marks, shape, strict=True)
        ]
        return centres[0], centres[1], np.concatenate(rows)

    def _row(self, y: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
        """Return the mean colours of one row of sampled tiles, uint8 (cells, cells, 3)."""
        height = int(y[-1] - y[0])
        parts = []
        for x in columns:
            block = self._slide.read_block(
                self._level, int(y[0]), int(x[0]), height, int(x[-1] - x[0])
            )
            sums = np.add.reduceat(block, y[:-1] - y[0], axis=0, dtype=np.uint32)
            sums = np.add.reduceat(sums, x[:-1] - x[0], axis=1)
            pixels = np.diff(y)[:, None, None] * np.diff(x)[None, :, None]
            parts.append((sums // pixels).astype(np.uint8))
        return np.concatenate(parts, axis=1)


class RoughLevel:
    """One level of the rough picture with the accepted edits, as napari wants its arrays.

    Parameters
    ----------
    picture : RoughPicture
        Shared by the levels of a slide.
    shape : (height, width)
    downsample : (dy, dx)
    overlay : Overlay, optional
        Painted over what is read.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        picture: RoughPicture,
        shape: tuple[int, int],
        downsample: tuple[float, float],
        overlay: Overlay | None = None,
    ) -> None:
        self.shape = (*shape, 3)
        self.size = shape[0] * shape[1] * 3
        self._picture, self._downsample, self._overlay = picture, downsample, overlay

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a part; rows and columns by slices, as a viewer asks."""
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, slice(None), slice(None))[:2] if Ellipsis not in key else (slice(None),) * 2
        (y, y1, _), (x, x1, _) = (
            part.indices(side) for part, side in zip(key, self.shape[:2], strict=True)
        )
        height, width = self.shape[:2]
        block = self._picture.colours(
            (np.arange(y, y1) + 0.5) / height, (np.arange(x, x1) + 0.5) / width
        )
        if self._overlay is not None and block.size:
            self._overlay.paste(block, y, x, self._downsample)
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)


def _spread(grid: list[int], count: int) -> tuple[int, int]:
    """Return how many rows and columns of a grid to take, at most `count` tiles, evenly."""
    rows, columns = grid
    wide = max(1, min(columns, int((count * columns / rows) ** 0.5)))
    high = max(1, min(rows, count // wide))
    return high, max(1, min(columns, count // high))


def _pitch(side: int, chosen: int, tiles: int) -> float:
    """Return how far apart cells are along an axis: finely where no tile is left out."""
    return side / (_CELLS if chosen == tiles else chosen)


def _marks(side: int, tile: int, chosen: int, pitches: list[float]) -> list[np.ndarray]:
    """Return the pixel edges of the cells of every chosen tile along one axis.

    Cells are about square: wide gaps on one axis make finer detail on the other look like noise.
    """
    cells = max(1, round(tile / max(pitches)))
    places = ((np.arange(chosen) + 0.5) * -(-side // tile) / chosen).astype(int)
    edges = []
    for place in places:
        start, stop = place * tile, min((place + 1) * tile, side)
        edges.append(np.unique(np.linspace(start, stop, cells + 1).round().astype(int)))
    return edges


def _nearest(centres: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the index of the nearest centre for each place; both ascend."""
    return np.searchsorted((centres[:-1] + centres[1:]) / 2, places)
