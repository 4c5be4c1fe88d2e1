"""A quick walk through a TIFF's directories: is the file whole, and what are its pixels?

Only the directories are read, with bounded work on hostile files; nothing is decoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_BITS, _STRIP_OFFSETS, _STRIP_COUNTS = 258, 273, 279
_TILE_OFFSETS, _TILE_COUNTS, _SUB_IFDS, _NDPI = 324, 325, 330, 65420
_WANTED = {_BITS, _STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS}
_WANTED |= {_SUB_IFDS}
_DESCRIPTION, _JPEG_TABLES = 270, 347
#: More than any scanner writes; a hostile file could keep us busy for hours.
_MOST_DIRECTORIES, _MOST_ENTRIES, _MOST_BYTES = 4096, 1024, 2**27


@dataclass
class TiffStructure:
    """What the directories say.

    Attributes
    ----------
    size : int
        Bytes in the file.
    needed : int
        Bytes up to the end of the last tile, strip or directory the file refers to.
    bits : tuple of int
        Bits per sample of the first directory.
    absurd : bool
        There is more to read than any real slide has.
    """

    size: int
    needed: int = 0
    bits: tuple[int, ...] = ()
    absurd: bool = False
    _seen: set[int] = field(default_factory=set)

    @property
    def missing(self) -> int:
        """Bytes the file is short of."""
        return max(0, self.needed - self.size)


def is_tiff(start: bytes) -> bool:
    """Tell whether a file's first bytes are those of a TIFF or BigTIFF."""
    return start[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def inspect_tiff(path: Path) -> TiffStructure:
    """Read the directories of a TIFF; never raises for damaged ones (`missing` tells)."""
    with path.open("rb") as file:
        structure = TiffStructure(path.stat().st_size)
        start = file.read(16).ljust(16, b"\0")
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in {b"+\0", b"\0+"}
        first = struct.unpack_from(f"{order}{'Q' if big else 'I'}", start, 8 if big else 4)[0]
        walk = _Walk(file, order, big, structure)
        pending = [first]
        while pending and not structure.absurd:
            pending += walk.directory(pending.pop())
            structure.absurd |= len(structure._seen) > _MOST_DIRECTORIES
    return structure


class _Walk:
    def __init__(self, file: BinaryIO, order: str, big: bool, structure: TiffStructure) -> None:
        self.file, self.order, self.big, self.structure = file, order, big, structure
        self.budget = _MOST_BYTES

    def directory(self, offset: int) -> list[int]:
        """Account for one directory; return the offsets of those it leads to."""
        if offset == 0 or offset in self.structure._seen:
            return []
        first = not self.structure._seen
        self.structure._seen.add(offset)
        head = self._read(offset, 8 if self.big else 2)
        if head is None:
            return []
        (entries,) = struct.unpack(f"{self.order}{'Q' if self.big else 'H'}", head)
        step = 20 if self.big else 12
        start = offset + len(head)
        if entries > _MOST_ENTRIES:
            self.structure.absurd = True
            return []
        table = self._read(start, entries * step)
        if table is None:
            return []
        tags = self._tags(table, step)
        if first:
            self.structure.bits = tags.get(_BITS, ())
        self._need(tags.get(_TILE_OFFSETS, ()), tags.get(_TILE_COUNTS, ()))
        self._need(tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_COUNTS, ()))
        return [*tags.get(_SUB_IFDS, ()), self._next(start + entries * step, _NDPI in tags)]

    def _tags(self, table: bytes, step: int) -> dict[int, tuple[int, ...]]:
        layout = f"{self.order}HH{'Q' if self.big else 'I'}"
        tags: dict[int, tuple[int, ...]] = {}
        for at in range(0, len(table), step):
            tag, kind, count = struct.unpack_from(layout, table, at)
            if tag == _NDPI:
                tags[tag] = ()
            if tag not in _WANTED | {_DESCRIPTION, _JPEG_TABLES} or kind not in _SIZES:
                continue
            value = table[at + (12 if self.big else 8) : at + step]
            length = count * _SIZES[kind]
            data: bytes | None = value[:length]
            if length > len(value):
                where = f"{self.order}{'Q' if self.big else 'I'}"
                data = self._read(struct.unpack(where, value)[0], length)
            if data is not None and tag in _WANTED and kind in _INTEGERS:
                tags[tag] = struct.unpack(f"{self.order}{count}{_INTEGERS[kind]}", data)
        return tags

    def _next(self, offset: int, ndpi: bool) -> int:
        # Hamamatsu writes 8-byte links between the 4-byte directories of a classic TIFF.
        size = 8 if self.big or ndpi else 4
        data = self._read(offset, size)
        return (
            0
            if data is None
            else struct.unpack(f"{self.order}{'Q' if size == 8 else 'I'}", data)[0]
        )

    def _need(self, offsets: tuple[int, ...], counts: tuple[int, ...]) -> None:
        ends = (o + c for o, c in zip(offsets, counts, strict=False) if o and c)
        self.structure.needed = max(self.structure.needed, max(ends, default=0))

    def _read(self, offset: int, length: int) -> bytes | None:
        """Read bytes, or note that the file is too short and return None."""
        self.structure.needed = max(self.structure.needed, offset + length)
        if offset + length > self.structure.size:
            return None
        self.budget -= length
        if self.budget < 0:
            self.structure.absurd = True
            return None
        self.file.seek(offset)
        return self.file.read(length)
