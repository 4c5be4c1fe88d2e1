"""Where patches can lie: a grid of pixels over a slide, and the positions on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.slides import Slide

#: Patches are listed tile by tile of so many grid pixels, so that neighbours are read together.
TILE = 2048
_SAME = 1e-6


class Grid(NamedTuple):
    """The pixels that patches are made of.

    Grid pixel (r, c) covers ``[r * sy, (r + 1) * sy) x [c * sx, (c + 1) * sx)`` of level 0.

    Attributes
    ----------
    shape : (height, width)
        Whole grid pixels the slide holds.
    spacing : (sy, sx)
        Level-0 pixels a grid pixel.
    level : int
        The level that is read: the coarsest that is at least as fine as the grid.
    mpp : (y, x) or None
        Micrometres a grid pixel.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    level: int
    mpp: tuple[float, float] | None

    def coarser(self, slide: Slide, factor: int) -> Grid:
        """Return the grid whose cells are ``factor`` pixels of this one wide; edge cells count."""
        shape = (-(-self.shape[0] // factor), -(-self.shape[1] // factor))
        spacing = (self.spacing[0] * factor, self.spacing[1] * factor)
        mpp = None if self.mpp is None else (self.mpp[0] * factor, self.mpp[1] * factor)
        return Grid(shape, spacing, level_for(slide, spacing), mpp)

    def level_0_box(self, y: int, x: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the level-0 pixels (y, x, height, width) under some grid pixels, rounded out."""
        sides = []
        for start, length, spacing in zip((y, x), (height, width), self.spacing, strict=True):
            first = int(np.floor(start * spacing + _SAME))
            sides.append((first, int(np.ceil((start + length) * spacing - _SAME)) - first))
        return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def patch_grid(slide: Slide, settings: PatchSettings) -> Grid:
    """Lay the grid of a slide's patches.

    Raises
    ------
    PatchError
        When the slide has no pixel size, or one coarser than is wanted.
    """
    spacing = _wanted_spacing(slide, settings)
    for index, level in enumerate(slide.levels):
        near = (abs(d / s - 1) for d, s in zip(level.downsample, spacing, strict=True))
        if max(near) <= settings.mpp_tolerance:
            mpp = _mpp(slide, level.downsample)
            return Grid(level.shape, level.downsample, index, mpp)
    if min(spacing) < 1:
        assert slide.mpp is not None
        raise PatchError(
            f"{slide.path.name} has {max(slide.mpp):g} µm a pixel, coarser than the "
            f"{settings.mpp:g} that are wanted; ask for a larger mpp or leave this slide out."
        )
    rows, columns = (
        int(n / s + _SAME) for n, s in zip(slide.levels[0].shape, spacing, strict=True)
    )
    return Grid((rows, columns), spacing, level_for(slide, spacing), _mpp(slide, spacing))


def level_for(slide: Slide, spacing: tuple[float, float]) -> int:
    """Return the coarsest level that is at least as fine as a grid."""
    fine = (
        index
        for index, level in enumerate(slide.levels)
        if all(d <= s * (1 + _SAME) for d, s in zip(level.downsample, spacing, strict=True))
    )
    return max(fine, default=0)


def origins(length: int, size: int, stride: int, border: str) -> NDArray[np.int64]:
    """Return where patches start along one axis.

    Parameters
    ----------
    length, size, stride : int
        Of the axis, a patch and the step, in grid pixels.
    border : {"drop", "shift", "pad"}
        What becomes of a remainder at the end: nothing; one more patch, moved back inside; one
        more patch, reaching outside (white there). An axis shorter than a patch has one only when
        padded.
    """
    if length < size:
        return np.zeros(int(border == "pad" and length > 0), np.int64)
    starts = np.arange(0, length - size + 1, stride, dtype=np.int64)
    if starts[-1] + size == length or border == "drop":
        return starts
    more = length - size if border == "shift" else starts[-1] + stride
    # A stride wider than a patch may lead beyond the slide altogether.
    return np.append(starts, more) if more < length else starts


def tile_order(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the order of patches: by tile of the grid, row by row, and so within each tile."""
    return np.lexsort((columns, rows, columns // TILE, rows // TILE))


def tile_groups(
    rows: NDArray[np.int64], columns: NDArray[np.int64], tile: int = TILE
) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of patches that start in the same tile, tile after tile."""
    if not len(rows):
        return
    order = np.lexsort((columns, rows, columns // tile, rows // tile))
    down, across = rows[order] // tile, columns[order] // tile
    new = np.flatnonzero(np.diff(down) | np.diff(across)) + 1
    yield from np.split(order, new)


def _wanted_spacing(slide: Slide, settings: PatchSettings) -> tuple[float, float]:
    if settings.mpp is None:
        return 1.0, 1.0
    if slide.mpp is None:
        raise PatchError(
            f"{slide.path.name} has no pixel size; give its mpp in the list of slides, or leave "
            "out mpp in the configuration to count in pixels of the slide."
        )
    return settings.mpp / slide.mpp[0], settings.mpp / slide.mpp[1]


def _mpp(slide: Slide, spacing: tuple[float, float]) -> tuple[float, float] | None:
    if slide.mpp is None:
        return None
    return slide.mpp[0] * spacing[0], slide.mpp[1] * spacing[1]
