"""A slide with its edits, level after level, block after block, in bounded memory.

Level 0 is read once. Its halves are kept in a scratch folder while it is handed out, and so on for
every coarser level, so that no block is decoded twice and no level is ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_histoaug.edits import EditStore
from napari_histoaug.errors import Cancelled
from napari_histoaug.exports import whole
from napari_histoaug.slides import Slide

TILE = 512
COARSEST = 1024  # px; halving stops when both sides are at most so long
_ACROSS = 4  # tiles of a block, side by side

Pixels = NDArray[np.uint8]


class Block(NamedTuple):
    """Part of a level: its place, uint8 (h, w, 3), and bool (h, w) where it is generated."""

    y: int
    x: int
    image: Pixels
    synthetic: NDArray[np.bool_]

    @property
    def region(self) -> tuple[slice, slice]:
        """Its rows and columns in the level."""
        height, width = self.synthetic.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


class Flattening:
    """The levels of a slide with its edits; each is handed out once, finest first.

    A pixel of a coarser level is the mean of four, and counts as generated when any of them does.

    Parameters
    ----------
    slide : Slide
    store : EditStore
    scratch : Path
        A folder to be made, for what is between the levels; about as large as a third of the
        pixels, compressed.
    progress : callable
        Called with the blocks done and all blocks, of all levels.
    cancelled : callable
        Asked before every block.

    Attributes
    ----------
    shapes : list of (int, int)
        (height, width) of each level, half the one before, rounded up.
    """

    def __init__(
        self,
        slide: Slide,
        store: EditStore,
        scratch: Path,
        progress: whole.Progress = whole.nobody,
        cancelled: whole.Cancelled = whole.never,
    ) -> None:
        self._slide, self._store = slide, store
        self._progress, self._cancelled = progress, cancelled
        self.shapes = [tuple(slide.levels[0].shape)]
        while max(self.shapes[-1]) > COARSEST:
            self.shapes.append(tuple(-(-side // 2) for side in self.shapes[-1]))
        group = zarr.create_group(scratch, zarr_format=3)
        self._images = [None, *(_kept(group, f"i{n}", s, 3) for n, s in _from_1(self.shapes))]
        self._masks = [_kept(group, f"m{n}", shape) for n, shape in enumerate(self.shapes)]
        self._done = 0
        self._total = sum(sum(1 for _ in _boxes(shape)) for shape in self.shapes)

    def blocks(self, level: int) -> Iterator[Block]:
        """Yield a level, row by row of blocks of whole tiles; call it once for each, in order.

        Raises
        ------
        Cancelled
            When `cancelled` said so.
        """
        for box in _boxes(self.shapes[level]):
            if self._cancelled():
                raise Cancelled("Flattening was cancelled; nothing was kept.")
            block = self._read(level, box)
            # before it is handed out: whoever takes the last one may never come back
            self._keep_half(level, block)
            self._done += 1
            self._progress(self._done, self._total)
            yield block

    def _keep_half(self, level: int, block: Block) -> None:
        if level + 1 == len(self.shapes):
            return
        height, width = block.synthetic.shape
        y, x = block.y // 2, block.x // 2
        at = np.s_[y : y + -(-height // 2), x : x + -(-width // 2)]
        self._images[level + 1][at] = halved(block.image)
        if block.synthetic.any():
            self._masks[level + 1][at] = halved_mask(block.synthetic)

    def mask_tiles(self, level: int) -> Iterator[Pixels]:
        """Yield the provenance mask of a level that was handed out: whole tiles, 255 generated."""
        height, width = self.shapes[level]
        for y in range(0, height, TILE):
            for x in range(0, width, TILE):
                part = np.asarray(self._masks[level][y : y + TILE, x : x + TILE])
                tile = np.zeros((TILE, TILE), np.uint8)
                tile[: part.shape[0], : part.shape[1]] = part * np.uint8(255)
                yield tile

    def _read(self, level: int, box: tuple[int, int, int, int]) -> Block:
        y, x, height, width = box
        at = np.s_[y : y + height, x : x + width]
        if level == 0:
            synthetic = self._store.synthetic(*box)
            if synthetic.any():
                self._masks[0][at] = synthetic
            return Block(y, x, self._store.read_block(self._slide, *box), synthetic)
        image = np.asarray(self._images[level][at])
        return Block(y, x, image, np.asarray(self._masks[level][at]) != 0)


def tiles_of(blocks: Iterator[Block]) -> Iterator[Pixels]:
    """Cut blocks into whole tiles, uint8 (TILE, TILE, 3); white beyond the edges."""
    for block in blocks:
        for x in range(0, block.image.shape[1], TILE):
            part = block.image[:, x : x + TILE]
            tile = np.full((TILE, TILE, 3), 255, np.uint8)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def halved(image: Pixels) -> Pixels:
    """Return means of 2 x 2 pixels, rounded; the edge is repeated where a side is odd."""
    even = np.pad(image, [(0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)], mode="edge")
    total = sum(even[y::2, x::2].astype(np.uint16) for y in (0, 1) for x in (0, 1))
    return ((np.asarray(total) + 2) // 4).astype(np.uint8)


def halved_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether any of 2 x 2 pixels is set."""
    even = np.pad(mask, [(0, mask.shape[0] % 2), (0, mask.shape[1] % 2)])
    return even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]


def _from_1(shapes: list[tuple[int, ...]]) -> list[tuple[int, tuple[int, ...]]]:
    return list(enumerate(shapes))[1:]


def _kept(group: zarr.Group, name: str, shape: tuple[int, ...], *colours: int) -> Any:
    """A scratch array whose chunks are what one block of the finer level makes."""
    chunk = (TILE // 2, TILE * _ACROSS // 2, *colours)
    return group.create_array(name, shape=(*shape, *colours), chunks=chunk, dtype="uint8")


def _boxes(shape: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    height, width = shape
    step = TILE * _ACROSS
    for y in range(0, height, TILE):
        for x in range(0, width, step):
            yield y, x, min(TILE, height - y), min(step, width - x)
