"""A whole-slide image: levels of pixels, where they are, and what could not be read."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from napari_histoaug.slides import identity
from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.reader import Reader

#: OpenSlide gives other pixels for reads of 4096 and more on lower levels, so stay well below.
LARGEST_READ = 2048
_HATCH_PERIOD, _HATCH_INK = 16, (200, 60, 160)


class Level(NamedTuple):
    """One resolution: ``shape`` (height, width) in pixels, ``downsample`` (dy, dx) >= 1."""

    shape: tuple[int, int]
    downsample: tuple[float, float]


class Failure(NamedTuple):
    """One tile of the file that could not be decoded, and why."""

    level: int
    row: int
    column: int
    message: str


class Slide:
    """An open slide, read only. Made by :func:`~napari_histoaug.slides.open_slide`.

    It may be used from several threads, pickled, and carried over a fork: another process opens
    the file again. It exposes neither associated images nor free-text properties.

    Attributes
    ----------
    path : pathlib.Path
        The file (or folder).
    name : str
        File stem, for the screen only.
    vendor : str
        Short name of the format.
    levels : list of Level
        ``levels[i].shape`` (height, width) and ``levels[i].downsample`` (dy, dx) = (H0/Hi, W0/Wi).
    mpp : (float, float) or None
        Micrometres per pixel (y, x) of level 0.
    tile_shapes : list of (int, int)
        The file's own tiles (height, width) of every level.
    """

    def __init__(self, path: Path, reader: Reader, mpp: tuple[float, float] | None = None) -> None:
        self.path = path
        self.name = path.stem
        self.vendor = reader.vendor
        height, width = reader.shapes[0]
        self.levels = [Level((h, w), (height / h, width / w)) for h, w in reader.shapes]
        self.tile_shapes = list(reader.tile_shapes)
        self.mpp = mpp or reader.mpp
        self._given_mpp = mpp
        self._reader: Reader | None = reader
        self._process = os.getpid()
        self._failures: dict[tuple[int, int, int], Failure] = {}
        self._recovery = threading.Lock()
        self._sha256: str | None = None

    @property
    def failures(self) -> list[Failure]:
        """Tiles that could not be decoded so far, as (level, row, column, message)."""
        return list(self._failures.values())

    @property
    def fingerprint(self) -> tuple[str, int, int]:
        """Path, modification time in ns and bytes: equal for an unchanged file."""
        status = self.path.stat()
        return str(self.path.resolve()), status.st_mtime_ns, status.st_size

    def read_block(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle of one level.

        Parameters
        ----------
        level : int
            Index into `levels`.
        y, x : int
            Top left corner in pixels of that level; may be negative or outside.
        height, width : int
            Size in pixels of that level.

        Returns
        -------
        uint8 (height, width, 3)
            RGB; white outside the slide, hatched where the file is damaged (see `failures`).
            A level that OpenSlide alone can read and whose downsample is not a whole number
            comes back interpolated at a fraction of a pixel, at most ``0.5 / downsample``; every
            other level gives the stored pixels.

        Raises
        ------
        IndexError
            For a level the slide does not have.
        ValueError
            For a negative height or width.
        SlideError
            When the slide is closed or its file has gone.
        """
        y, x, height, width = map(operator.index, (y, x, height, width))
        if not 0 <= level < len(self.levels):
            raise IndexError(f"level {level} of {len(self.levels)}")
        if height < 0 or width < 0:
            raise ValueError(f"a block of {height} x {width} pixels")
        out = np.full((height, width, 3), 255, np.uint8)
        rows, columns = self.levels[level].shape
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + height, rows), min(x + width, columns)
        # Never less than a tile of the file: a strip as wide as the slide is decoded once.
        most = [max(LARGEST_READ, side) for side in self.tile_shapes[level]]
        for box in _pieces(top, left, bottom, right, *most):
            y0, x0, h, w = box
            out[y0 - y : y0 - y + h, x0 - x : x0 - x + w] = self._read_piece(level, *box)
        return out

    def sha256(self) -> str:
        """Return the hex SHA-256 of the slide's bytes (read once; seconds for a large file)."""
        if self._sha256 is None:
            self._sha256 = identity.content_sha256(self.path)
        return self._sha256

    def slide_id(self) -> str:
        """Return the salted id (16 hex digits) under which this user's exports know the slide."""
        return identity.salted_id(self.sha256())

    def close(self) -> None:
        """Let go of the file; later reads raise :class:`SlideError`."""
        with self._recovery:
            reader, self._reader = self._reader, None
        if reader is not None and self._process == os.getpid():
            reader.close()

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple:
        from napari_histoaug.slides.opening import open_slide

        return open_slide, (self.path, self._given_mpp)

    def __repr__(self) -> str:
        height, width = self.levels[0].shape
        return f"<Slide {self.vendor} {height} x {width}, {len(self.levels)} levels>"

    def _open_reader(self) -> Reader:
        reader = self._reader
        if reader is None:
            raise SlideError(f"{self.path.name} was closed; open it again.")
        if self._process != os.getpid():
            # A handle inherited over a fork shares its file position with the parent.
            with self._recovery:
                if self._process != os.getpid():
                    self._reader, self._process = reader.reopen(), os.getpid()
            return self._open_reader()
        return reader

    def _read_piece(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        damaged = any(key in self._failures for key in self._tiles(level, y, x, height, width))
        if not damaged:
            try:
                return self._open_reader().read(level, y, x, height, width)
            except TileError:
                pass
        return self._recover(level, y, x, height, width)

    def _recover(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Read tile by tile through a handle of our own; hatch and record what stays unreadable.

        A private handle, because another thread's error on a shared one would be blamed on
        our tile (OpenSlide refuses everything after its first error).
        """
        out = np.empty((height, width, 3), np.uint8)
        tile_height, tile_width = self.tile_shapes[level]
        opened = self._open_reader()
        with self._recovery:
            reader = opened.reopen()
            for key in self._tiles(level, y, x, height, width):
                top, left = key[1] * tile_height, key[2] * tile_width
                y0, x0 = max(y, top), max(x, left)
                y1, x1 = min(y + height, top + tile_height), min(x + width, left + tile_width)
                pixels = None
                if key not in self._failures:
                    try:
                        pixels = reader.read(level, y0, x0, y1 - y0, x1 - x0)
                    except TileError as error:
                        self._failures[key] = Failure(*key, str(error))
                        reader = reader.reopen()
                out[y0 - y : y1 - y, x0 - x : x1 - x] = (
                    hatched(y0, x0, y1 - y0, x1 - x0) if pixels is None else pixels
                )
            if self._reader is not None:  # not closed meanwhile
                self._reader = reader
        return out

    def _tiles(
        self, level: int, y: int, x: int, height: int, width: int
    ) -> Iterator[tuple[int, int, int]]:
        tile_height, tile_width = self.tile_shapes[level]
        for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
            for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
                yield level, row, column


def hatched(y: int, x: int, height: int, width: int) -> np.ndarray:
    """Return the placeholder of unreadable pixels: diagonal stripes that fit across tiles."""
    diagonal = np.add.outer(np.arange(y, y + height), np.arange(x, x + width)) % _HATCH_PERIOD
    out = np.full((height, width, 3), 255, np.uint8)
    out[diagonal < _HATCH_PERIOD // 4] = _HATCH_INK
    return out


def _pieces(
    top: int, left: int, bottom: int, right: int, height: int, width: int
) -> Iterator[tuple[int, int, int, int]]:
    for y in range(top, bottom, height):
        for x in range(left, right, width):
            yield y, x, min(height, bottom - y), min(width, right - x)
