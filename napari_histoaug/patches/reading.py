"""Patches read: many at once from a block of the slide, each cut from memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.edits import EditStore
from napari_histoaug.patches.geometry import Box
from napari_histoaug.patches.grid import TILE, Grid, tile_groups
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.pixels import level_box, read_pixels
from napari_histoaug.patches.plan import Positions, bounding_box
from napari_histoaug.slides import Failure, Slide
from napari_histoaug.slides.reader import grid_pieces


class Patch(NamedTuple):
    """One patch: its number in what was asked for, image uint8 (s, s, 3), mask uint8 (s, s)."""

    number: int
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


class PatchReader:
    """Reads images and label masks of one slide.

    Parameters
    ----------
    slide : Slide
    grid : Grid
        See :func:`~napari_histoaug.patches.grid.patch_grid`.
    labels : Labels
    size : int
        Side of a patch in grid pixels.
    store : EditStore, optional
        Its edits are seen in the images.
    """

    def __init__(
        self, slide: Slide, grid: Grid, labels: Labels, size: int, store: EditStore | None = None
    ) -> None:
        self.slide, self.grid, self.labels, self.size = slide, grid, labels, size
        self._store = store

    def block(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (height, width, 3) and mask (height, width) of a box of grid pixels."""
        return read_pixels(self.slide, self.grid, box, self._store), self.labels.mask(
            self.grid, box
        )

    def patches(self, rows: Positions, columns: Positions, tile: int = TILE) -> Iterator[Patch]:
        """Yield patches, block after block; arrays are views of the block they were read in.

        Parameters
        ----------
        rows, columns : int64 (n,)
            Top left corners in grid pixels. In the order of a plan, they come in that order.
        tile : int
            Patches starting in the same tile of so many pixels are read at once.
        """
        for group in tile_groups(rows, columns, tile):
            yield from self._cut(group, rows, columns)

    def _cut(self, group: NDArray[np.intp], rows: Positions, columns: Positions) -> Iterator[Patch]:
        s = self.size
        y, x, height, width = bounding_box(rows[group], columns[group], s)
        if 2 * len(group) * s**2 < height * width:  # few and far between
            for index in group:
                yield Patch(int(index), *self.block((int(rows[index]), int(columns[index]), s, s)))
            return
        image, mask = self.block((y, x, height, width))
        for index in group:
            top, left = rows[index] - y, columns[index] - x
            view = (slice(top, top + s), slice(left, left + s))
            yield Patch(int(index), image[view], mask[view])


def tile_boxes(
    slide: Slide, grid: Grid, rows: Positions, columns: Positions, size: int
) -> list[Box]:
    """Return the pixels (y, x, height, width) of the grid's level under each patch."""
    return [
        level_box(slide, grid, (int(y), int(x), size, size))
        for y, x in zip(rows, columns, strict=True)
    ]


def failed_tiles(
    failures: Iterable[Failure], tile_shape: tuple[int, int], grid: Grid, boxes: list[Box]
) -> NDArray[np.int32]:
    """Count the tiles of the grid's level under each box that could not be decoded, int32 (n,)."""
    bad = {(row, column) for level, row, column, _ in failures if level == grid.level}
    counts = np.zeros(len(boxes), np.int32)
    if bad:
        for index, box in enumerate(boxes):
            pieces = grid_pieces(box, *tile_shape)
            counts[index] = sum((row, column) in bad for row, column, _ in pieces)
    return counts
