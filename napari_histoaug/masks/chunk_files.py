"""Chunks of a sparse zarr v3 array, read and replaced as whole files.

The arrays are made by zarr and readable by anything that reads zarr. Their chunks are written here,
because a stroke has to be on the disk within milliseconds, each chunk all or nothing, and because
undo keeps the bytes of the chunks it would bring back.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

CHUNK = 512
"""Side of a chunk in pixels."""
_LEVEL = 1

Chunk = tuple[int, int, int]
"""(level, row, column) of a chunk."""


class ChunkFiles:
    """The chunk files of the arrays ``0``, ``1``, ... in a zarr group; missing means all zero.

    Parameters
    ----------
    group : Path
        Folder of the group.
    """

    def __init__(self, group: Path) -> None:
        self._group = group

    def path(self, chunk: Chunk) -> Path:
        """Return where a chunk is, or would be."""
        level, row, column = chunk
        return self._group / str(level) / "c" / str(row) / str(column)

    def get(self, chunk: Chunk) -> bytes | None:
        """Return the stored bytes of a chunk, None when it is all zero."""
        try:
            return self.path(chunk).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, chunk: Chunk, data: bytes | None) -> None:
        """Replace a chunk: either the old or the new bytes are there, whatever happens."""
        path = self.path(chunk)
        if data is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # zarr reads chunks by their names only, so a part left by a crash is never seen
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        part.write_bytes(data)
        part.replace(path)

    def stored(self, level: int) -> Iterator[Chunk]:
        """Yield the chunks of a level that hold anything, in no order."""
        for row in _numbered(self._group / str(level) / "c"):
            for column in _numbered(self._group / str(level) / "c" / str(row)):
                yield level, row, column


def encode(pixels: NDArray[np.uint8]) -> bytes | None:
    """Return the bytes of a chunk, uint8 (512, 512); None when it is all zero."""
    first = int(pixels.flat[0])
    if (pixels == first).all():
        return _uniform(first)
    return bytes(imagecodecs.zstd_encode(pixels.tobytes(), level=_LEVEL))


def decode(data: bytes | None) -> NDArray[np.uint8]:
    """Return the pixels of a chunk, uint8 (512, 512), writable.

    Raises
    ------
    ValueError
        When the bytes are not those of a chunk.
    """
    if data is None:
        return np.zeros((CHUNK, CHUNK), np.uint8)
    try:
        raw = imagecodecs.zstd_decode(data)
    except imagecodecs.ZstdError as error:
        raise ValueError("not a compressed chunk") from error
    return np.frombuffer(bytearray(raw), np.uint8).reshape(CHUNK, CHUNK)


def common_part(
    chunk: Chunk, box: tuple[int, int, int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where the common part of a chunk and a box lies in either."""
    inside, outside = [], []
    for axis in (0, 1):
        start = chunk[axis + 1] * CHUNK
        low, high = max(start, box[axis]), min(start + CHUNK, box[axis] + box[axis + 2])
        inside.append(slice(low - start, high - start))
        outside.append(slice(low - box[axis], high - box[axis]))
    return (inside[0], inside[1]), (outside[0], outside[1])


@functools.lru_cache(maxsize=256)
def _uniform(value: int) -> bytes | None:
    if value == 0:
        return None
    return bytes(imagecodecs.zstd_encode(bytes([value]) * CHUNK**2, level=_LEVEL))


def _numbered(folder: Path) -> list[int]:
    try:
        return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    except FileNotFoundError:
        return []
