"""(OME-)TIFF by its own tiles: structure from tifffile, bytes by position, strict decoding."""

from __future__ import annotations

import copy
import functools
import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from napari_histoaug.slides import tiff_metadata
from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.handles import Handle, renew, shared_handle
from napari_histoaug.slides.positional_file import PositionalFile
from napari_histoaug.slides.reader import Box, Reader, grid_pieces
from napari_histoaug.slides.shared_caches import tile_cache
from napari_histoaug.slides.tiff_colour import Pixels, Window
from napari_histoaug.slides.tiff_levels import TiffLevel, find_levels

#: What tifffile raises on files that only look like a TIFF.
DAMAGED = (
    tifffile.TiffFileError, ValueError, OSError, KeyError, IndexError, TypeError, AttributeError,
    ZeroDivisionError, OverflowError, MemoryError, AssertionError, RecursionError, struct.error,
)  # fmt: skip
#: Blocks of so many pixels are decoded in place, smaller ones through the cache.
_LARGE = 1024 * 1024
_numbers = itertools.count()


class Facts(NamedTuple):
    """What another reader knows about the same file."""

    vendor: str = "tiff"
    mpp: tuple[float, float] | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    bounds: Box | None = None


class TiffReader:
    """One TIFF, tiled or in strips, as levels of RGB.

    Pixels are the stored ones, exactly, at every level. Tiles the file leaves out (no bytes) are
    averaged from the finer levels, or background where these have none either. Grey becomes three
    equal channels, white-is-zero grey is inverted, a palette is looked up, alpha is composited on
    the background, 16-bit values need a window. Everything else is refused with a sentence.

    Parameters
    ----------
    path : pathlib.Path
        The file to open (read only).
    window : (low, high), optional
        16-bit values shown as 0 and 255.
    facts : Facts, optional
        What OpenSlide knows about the file.

    Raises
    ------
    SlideError
        When it is not a TIFF that can be shown as 8-bit RGB.
    """

    def __init__(
        self, path: Path, window: Window | None = None, facts: Facts | None = None
    ) -> None:
        self.path = path
        facts = facts or Facts()
        try:
            # Under a plain name, because tifffile would believe the ending of the real one.
            with path.open("rb") as file, tifffile.TiffFile(file, name="slide.tif") as tiff:
                self.levels: list[TiffLevel] = find_levels(tiff, path, window)
                page = tiff.series[0].keyframe
                self.is_ome = bool(tiff.is_ome)
                self.mpp = (
                    facts.mpp
                    or tiff_metadata.ome_pixel_size(tiff)
                    or tiff_metadata.resolution(page)
                )
                self._profile = tiff_metadata.icc_location(page)
            self._handle: Handle[PositionalFile] | None = shared_handle(path, PositionalFile)
        except DAMAGED as error:
            raise SlideError(
                f"{path.name} is a damaged TIFF ({error}); copy it again from its source."
            ) from error
        self.vendor, self.bounds, self._background = facts.vendor, facts.bounds, facts.background
        self.shapes = tuple(level.shape for level in self.levels)
        self.tile_shapes = tuple(level.tile_shape for level in self.levels)
        self._number = next(_numbers)

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) from inside a level; see :class:`Reader`."""
        stored = self.levels[level]
        out = np.empty((height, width, 3), np.uint8)
        scratch = np.empty((*stored.tile_shape, 3), np.uint8) if height * width >= _LARGE else None
        for row, column, part in grid_pieces((y, x, height, width), *stored.tile_shape):
            top, left, rows, columns = part
            target = out[top - y : top - y + rows, left - x : left - x + columns]
            if not stored.stored[row, column]:
                target[:] = self._filled(level, *part)
                continue
            if scratch is not None and self._is_whole(stored, row, column, rows, columns):
                tile = self._rgb(stored, row, column, scratch)
            else:
                tile = self._kept(level, row, column, "rgb", self._rgb)
            dy, dx = top - row * stored.tile_shape[0], left - column * stored.tile_shape[1]
            target[:] = tile[dy : dy + rows, dx : dx + columns]
        return out

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return bool (height, width): where the file holds opaque or translucent pixels."""
        stored = self.levels[level]
        out = np.ones((height, width), np.bool_)
        if stored.colour.alpha is None and not stored.has_gaps:
            return out
        for row, column, part in grid_pieces((y, x, height, width), *stored.tile_shape):
            top, left, rows, columns = part
            target = out[top - y : top - y + rows, left - x : left - x + columns]
            if not stored.stored[row, column]:
                target[:] = self._filled_valid(level, *part)
            elif stored.colour.alpha is not None:
                mask = self._kept(level, row, column, "valid", self._opaque)
                dy, dx = top - row * stored.tile_shape[0], left - column * stored.tile_shape[1]
                target[:] = mask[dy : dy + rows, dx : dx + columns]
        return out

    def pixels(
        self, stored: TiffLevel, row: int, column: int, scratch: np.ndarray | None = None
    ) -> Pixels:
        """Decode one tile that has bytes, without cache; see :meth:`TiffLevel.decode`."""
        return stored.colour.apply(stored.decode(self._open_file(), row, column, scratch))

    def icc_profile(self) -> bytes | None:
        """Return the colour profile in the first level's tags."""
        if self._profile is None:
            return None
        offset, count = self._profile
        return self._open_file().read_at(offset, count)

    def reopen(self, own: bool) -> Reader:
        """Return another reader of the same file; see :class:`Reader`."""
        other = copy.copy(self)
        try:
            other._handle = (
                Handle(PositionalFile(self.path))
                if own
                else shared_handle(self.path, PositionalFile)
            )
        except OSError as error:
            raise SlideError(
                f"{self.path.name} cannot be opened again ({error.strerror}); check the disk or "
                "the network drive it is on."
            ) from error
        return other

    def share(self) -> None:
        """Let every reader of the file in this process use this one's handle from now on."""
        renew(self.path, PositionalFile, self._open_file())

    def close(self) -> None:
        """Let go of the file, which closes when its last reader has and no thread is in it."""
        self._handle = None
        tile_cache().drop(lambda key: isinstance(key, tuple) and key[0] == self._number)

    def _open_file(self) -> PositionalFile:
        handle = self._handle
        if handle is None:
            raise TileError("closed")
        return handle.current

    @staticmethod
    def _is_whole(stored: TiffLevel, row: int, column: int, rows: int, columns: int) -> bool:
        """Tell whether a part is all that a tile shows, so that keeping the tile is no use."""
        height, width = stored.tile_shape
        return rows == min(height, stored.shape[0] - row * height) and columns == min(
            width, stored.shape[1] - column * width
        )

    def _kept(
        self,
        level: int,
        row: int,
        column: int,
        kind: str,
        make: Callable[[TiffLevel, int, int], np.ndarray],
    ) -> np.ndarray:
        """Return a tile through the cache."""
        return tile_cache().get(
            (self._number, level, row, column, kind),
            functools.partial(make, self.levels[level], row, column),
        )

    def _rgb(
        self, stored: TiffLevel, row: int, column: int, scratch: np.ndarray | None = None
    ) -> np.ndarray:
        pixels = self.pixels(stored, row, column, scratch)
        return stored.colour.compose(pixels, self._background)

    def _opaque(self, stored: TiffLevel, row: int, column: int) -> np.ndarray:
        alpha = self.pixels(stored, row, column).alpha
        assert alpha is not None, "asked of levels with alpha only"
        return alpha > 0

    def _filled(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return the pixels of a tile without bytes: the mean of the finer ones below it."""
        finer = self._next_finer(level, y, x, height, width)
        if finer is None:
            return np.broadcast_to(np.array(self._background, np.uint8), (height, width, 3))
        mean = self._mean(self.read, finer, level, (y, x, height, width))
        return np.clip(np.rint(mean), 0, 255).astype(np.uint8)

    def _filled_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        finer = self._next_finer(level, y, x, height, width)
        if finer is None:
            return np.zeros((height, width), np.bool_)
        mean = self._mean(self.read_valid, finer, level, (y, x, height, width))
        return mean[..., 0] >= 0.5

    def _next_finer(self, level: int, y: int, x: int, height: int, width: int) -> int | None:
        """Return the nearest finer level that has bytes below a box, None when none has."""
        for finer in range(level - 1, -1, -1):
            if self.levels[finer].holds_any(*self._below(finer, level, (y, x, height, width))):
                return finer
        return None

    def _below(self, finer: int, level: int, box: Box) -> Box:
        """Return the pixels of a finer level that a box touches."""
        sides = []
        for axis in (0, 1):
            fine, coarse = self.shapes[finer][axis], self.shapes[level][axis]
            start = box[axis] * fine // coarse
            end = min(-(-(box[axis] + box[axis + 2]) * fine // coarse), fine)
            sides.append((start, max(end - start, 1)))
        return sides[0][0], sides[1][0], sides[0][1], sides[1][1]

    def _mean(
        self, read: Callable[..., np.ndarray], finer: int, level: int, box: Box
    ) -> np.ndarray:
        from napari_histoaug.slides.resampling import area_mean

        below = self._below(finer, level, box)
        pixels = read(finer, *below)
        spacing = (
            self.shapes[finer][0] / self.shapes[level][0],
            self.shapes[finer][1] / self.shapes[level][1],
        )
        return area_mean(pixels.reshape(*below[2:], -1), below[:2], spacing, box)
