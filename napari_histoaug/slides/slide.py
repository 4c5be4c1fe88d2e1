"""A whole-slide image: levels of pixels, where they are, and what could not be read."""

from __future__ import annotations

import hashlib
import operator
import os
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

import numpy as np

from napari_histoaug.slides import identity
from napari_histoaug.slides.damage import Failure, hatched, refuse_damaged
from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.reader import Box, Reader, grid_pieces

__all__ = ["Failure", "Level", "Slide"]


class Level(NamedTuple):
    """One resolution: ``shape`` (height, width) in pixels, ``downsample`` (dy, dx) >= 1."""

    shape: tuple[int, int]
    downsample: tuple[float, float]


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
    bounds : (int, int, int, int) or None
        Level-0 rectangle (y, x, height, width) that holds tissue, where the format states one.
    color_space : {"raw", "srgb"}
        Whether pixels are as stored or converted to sRGB by the slide's ICC profile.
    notes : tuple of str
        Sentences the user should see: how the slide is read when not in the usual way.
    """

    def __init__(
        self,
        path: Path,
        reader: Reader,
        mpp: tuple[float, float] | None = None,
        window: tuple[float, float] | None = None,
        color_space: Literal["raw", "srgb"] = "raw",
        notes: Iterable[str] = (),
    ) -> None:
        self.path = path
        self.name = path.stem
        self.vendor = reader.vendor
        self.notes = tuple(notes)
        self.bounds = reader.bounds
        height, width = reader.shapes[0]
        self.levels = [Level((h, w), (height / h, width / w)) for h, w in reader.shapes]
        self.tile_shapes = list(reader.tile_shapes)
        self.mpp = mpp or reader.mpp
        self.color_space = color_space
        self._given_mpp, self._window = mpp, window
        self._reader: Reader | None = reader
        self._process = os.getpid()
        self._failures: dict[tuple[int, int, int], Failure] = {}
        self._recovery = threading.Lock()
        self._sha256: str | None = None
        self._icc_sha256: str | None = None
        self._stamp = _stamp(path)

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
        return self._read(level, (y, x, height, width), _PIXELS)

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Tell which pixels of a rectangle the file really holds.

        Parameters and errors are those of :meth:`read_block`.

        Returns
        -------
        bool (height, width)
            False outside the slide, where it is transparent, where the file left tiles out at
            every finer level too, and where it is known to be damaged.
        """
        return self._read(level, (y, x, height, width), _MASK)

    def check_failures(self, level: int, boxes: Iterable[Box], most: float = 0.001) -> None:
        """Stop work on a slide that is too damaged: call it while and after reading patches.

        Parameters
        ----------
        level : int
            The level that is read.
        boxes : iterable of (y, x, height, width)
            All tissue patches of the plan, in pixels of that level.
        most : float
            Largest tolerated share of unreadable tiles among those the boxes touch.

        Raises
        ------
        SlideError
            When more tiles than that have failed so far.
        """
        refuse_damaged(self.path.name, self.failures, level, self.tile_shapes[level], boxes, most)

    @property
    def icc_sha256(self) -> str | None:
        """Hex SHA-256 of the slide's ICC profile, None when it has none."""
        if self._icc_sha256 is None:
            try:
                profile = self._open_reader().icc_profile()
            except TileError:
                profile = None
            self._icc_sha256 = hashlib.sha256(profile).hexdigest() if profile else ""
        return self._icc_sha256 or None

    def sha256(self, cancelled: Callable[[], bool] | None = None) -> str:
        """Return the hex SHA-256 of the slide's bytes (read once; seconds for a large file).

        Raises
        ------
        Cancelled
            When `cancelled` said so meanwhile.
        """
        if self._sha256 is None:
            self._sha256 = identity.content_sha256(self.path, cancelled)
        return self._sha256

    def known_sha256(self) -> str | None:
        """Return :meth:`sha256` if it can be had at once, None if it means reading a large file."""
        if self._sha256 is None:
            self._sha256 = identity.known_sha256(self.path)
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

        return open_slide, (self.path, self._given_mpp, self._window, self.color_space)

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
                    self._reader, self._process = reader.reopen(own=False), os.getpid()
            return self._open_reader()
        return reader

    def _read(self, level: int, box: Box, wanted: _Wanted) -> np.ndarray:
        """Read a box that may reach over the level's edges."""
        y, x, height, width = map(operator.index, box)
        if not 0 <= level < len(self.levels):
            raise IndexError(f"level {level} of {len(self.levels)}")
        if height < 0 or width < 0:
            raise ValueError(f"a block of {height} x {width} pixels")
        if self._stamp != _stamp(self.path):
            raise SlideError(
                f"{self.path.name} has changed while it was read, or has gone; open it again."
            )
        rows, columns = self.levels[level].shape
        top, left = max(y, 0), max(x, 0)
        inside = (top, left, min(y + height, rows) - top, min(x + width, columns) - left)
        if inside == (y, x, height, width) and height and width:
            return self._read_inside(level, inside, wanted)
        out = wanted.outside(height, width)
        if inside[2] > 0 and inside[3] > 0:
            out[top - y : top - y + inside[2], left - x : left - x + inside[3]] = self._read_inside(
                level, inside, wanted
            )
        return out

    def _read_inside(self, level: int, box: Box, wanted: _Wanted) -> np.ndarray:
        tiles = self.tile_shapes[level]
        if not self._failures or all(
            (level, row, column) not in self._failures
            for row, column, _ in grid_pieces(box, *tiles)
        ):
            try:
                return wanted.read(self._open_reader(), level, *box)
            except TileError:
                pass
        # Tile by tile, so that one damaged tile costs nothing but itself.
        parts = [
            (part, self._read_tile((level, row, column), part, wanted))
            for row, column, part in grid_pieces(box, *tiles)
        ]
        out = wanted.outside(*box[2:])
        for part, found in parts:
            y, x, height, width = part
            out[y - box[0] : y - box[0] + height, x - box[1] : x - box[1] + width] = (
                wanted.damaged(*part) if found is None else found
            )
        return out

    def _read_tile(
        self, key: tuple[int, int, int], part: Box, wanted: _Wanted
    ) -> np.ndarray | None:
        """Read a part of one tile; None, recorded, when a fresh handle cannot read it either."""
        if key in self._failures:
            return None
        reader = self._open_reader()
        try:
            return wanted.read(reader, key[0], *part)
        except TileError:
            return self._retry(key, part, wanted, reader)

    def _retry(
        self, key: tuple[int, int, int], part: Box, wanted: _Wanted, tired: Reader
    ) -> np.ndarray | None:
        """Read once more through a handle of our own, which everybody then shares.

        Another thread's error on the old one would be blamed on our tile: OpenSlide refuses
        everything after its first error.
        """
        with self._recovery:
            if key in self._failures:
                return None
            reader, pixels = tired.reopen(own=True), None
            try:
                pixels = wanted.read(reader, key[0], *part)
            except TileError as error:
                self._failures[key] = Failure(*key, str(error))
                reader = reader.reopen(own=True)
            reader.share()
        return pixels


class _Wanted(NamedTuple):
    """One thing to be had from a reader, and what stands for it in damage and outside."""

    read: Callable[[Reader, int, int, int, int, int], np.ndarray]
    damaged: Callable[[int, int, int, int], np.ndarray]
    outside: Callable[[int, int], np.ndarray]


_PIXELS = _Wanted(
    lambda reader, *box: reader.read(*box),
    hatched,
    lambda height, width: np.full((height, width, 3), 255, np.uint8),
)
_MASK = _Wanted(
    lambda reader, *box: reader.read_valid(*box),
    lambda y, x, height, width: np.zeros((height, width), np.bool_),
    lambda height, width: np.zeros((height, width), np.bool_),
)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; folders change at any time."""
    try:
        status = path.stat()
    except OSError:
        return None
    return None if stat.S_ISDIR(status.st_mode) else (status.st_mtime_ns, status.st_size)
