"""Do our own decoder and OpenSlide see the same pixels? A few random tiles tell."""

from __future__ import annotations

import random

import numpy as np

from napari_histoaug.slides.errors import TileError
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.tiff_reader import TiffReader

_PIXELS = 8 * 256 * 256
#: Side of the window compared in a tile: OpenSlide's way out of a decoded tile is slow.
_WINDOW = 64
_MOST_PIXELS_A_TILE = 1024 * 1024


def disagreement(native: TiffReader, reference: OpenSlideReader) -> str | None:
    """Compare about eight 256-pixel tiles' worth of level 0; None when every pixel is equal.

    The tiles are drawn by a seed made of the file's own layout, so a file is always judged by
    the same ones. Damaged tiles say nothing about the decoder and are left out.

    Returns
    -------
    str or None
        What differs, to be put into a sentence.
    """
    if native.shapes[0] != reference.shapes[0]:
        return "they see images of different size"
    if not set(reference.shapes) <= set(native.shapes):
        return "OpenSlide sees more levels"
    level = native.levels[0]
    rows, columns = level.tile_shape
    if rows * columns > _MOST_PIXELS_A_TILE:
        return None
    present = np.flatnonzero(level.stored)
    draw = random.Random(int(level.offsets.sum() % 2**61) + level.shape[0] * level.shape[1])
    wanted = min(len(present), max(2, min(8, _PIXELS // (rows * columns))))
    for index in draw.sample(range(len(present)), wanted):
        row, column = divmod(int(present[index]), level.grid[1])
        inside = [
            min(side, whole - at * side)
            for at, side, whole in zip((row, column), level.tile_shape, level.shape, strict=True)
        ]
        dy, dx = (draw.randrange(max(1, side - _WINDOW + 1)) for side in inside)
        size = (min(_WINDOW, inside[0]), min(_WINDOW, inside[1]))
        box = (0, row * rows + dy, column * columns + dx, *size)
        try:
            ours, theirs = native.read(*box), reference.read(*box)
            # Rounding of half transparent colours is a matter of taste.
            clear = native.read_valid(*box) if level.colour.alpha is None else _opaque(native, box)
        except TileError:
            return None
        if (ours[clear] != theirs[clear]).any():
            return f"the pixels of the tile in row {row}, column {column} differ"
    return None


def _opaque(native: TiffReader, box: tuple[int, int, int, int, int]) -> np.ndarray:
    level = native.levels[box[0]]
    row, dy = divmod(box[1], level.tile_shape[0])
    column, dx = divmod(box[2], level.tile_shape[1])
    pixels = native.pixels(level, row, column)
    assert pixels.alpha is not None, "asked of levels with alpha only"
    return pixels.alpha[dy : dy + box[3], dx : dx + box[4]] == 255
