"""A read-only zarr v3 store that serves a slide as an OME-Zarr 0.5 group, decoded on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, Protocol

import numpy as np
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from napari_histoaug.slides.slide import Slide
from napari_histoaug.slides.tiles import TILE, TileSource


class Overlay(Protocol):
    """Something that paints over the slide's pixels, such as accepted edits."""

    def paste(self, block: np.ndarray, y: int, x: int, downsample: tuple[float, float]) -> None:
        """Paint into a uint8 (H, W, 3) block in place.

        ``block[0, 0]`` sits at (y, x) in the pixels of the level with that (dy, dx) downsample.
        """
        ...


class SlideStore(Store):
    """OME-Zarr 0.5 group over a slide: arrays "0", "1", ... of uint8 (y, x, c), 512 px chunks.

    Chunks are decoded when they are asked for, in a thread, so that zarr's one event loop never
    waits for a decoder. The overlay is painted on a copy of each chunk as it is served, so the
    cache holds the slide's own pixels only. Every chunk inside an array exists: a damaged one comes
    hatched, never as a silent fill value.

    Parameters
    ----------
    slide : Slide
    overlay : Overlay, optional
    cache_bytes : int
        Most bytes of decoded tiles kept in memory.
    """

    def __init__(
        self, slide: Slide, overlay: Overlay | None = None, cache_bytes: int = 256 * 2**20
    ) -> None:
        super().__init__(read_only=True)
        self.slide = slide
        self.overlay = overlay
        self.tiles = TileSource(slide, cache_bytes)
        self._documents = _documents(self.tiles, slide)
        self._identity = slide.fingerprint
        self._is_open = True

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SlideStore)
            and self._identity == other._identity
            and self.overlay == other.overlay
        )

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        return SlideStore, (self.slide, self.overlay, self.tiles.cache.limit)

    def __repr__(self) -> str:
        return f"SlideStore({self.slide!r})"

    def with_read_only(self, read_only: bool = False) -> SlideStore:
        """Return this store; asking for a writable one is refused."""
        if not read_only:
            _refuse()
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a metadata document or a decoded chunk; None only for keys that do not exist."""
        document = self._documents.get(key)
        if document is not None:
            return prototype.buffer.from_bytes(_cut(document, byte_range))
        place = self._chunk(key)
        if place is None:
            return None
        data = await asyncio.to_thread(self._serve, *place)
        return prototype.buffer.from_bytes(_cut(data, byte_range))

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return several values, as :meth:`get` does."""
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        """Tell whether a key exists, without decoding anything."""
        return key in self._documents or self._chunk(key) is not None

    @property
    def supports_writes(self) -> bool:
        """False: the slide is never written."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """False: the slide is never written."""
        return False

    @property
    def supports_listing(self) -> bool:
        """True."""
        return True

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        _refuse()

    async def delete(self, key: str) -> None:
        """Refuse."""
        _refuse()

    async def list(self) -> AsyncIterator[str]:
        """Yield every key."""
        for document in self._documents:
            yield document
        for index, level in enumerate(self.tiles.levels):
            rows, columns = level.grid
            for row in range(rows):
                for column in range(columns):
                    yield f"{index}/c/{row}/{column}/0"

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield every key that begins with a prefix."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        start = prefix.strip("/") + "/" if prefix.strip("/") else ""
        seen = set()
        async for key in self.list_prefix(start):
            name = key[len(start) :].split("/", 1)[0]
            if name not in seen:
                seen.add(name)
                yield name

    def _chunk(self, key: str) -> tuple[int, int, int] | None:
        """Return (level, row, column) of a chunk key, None when there is no such chunk."""
        parts = key.split("/")
        if len(parts) != 5 or parts[1] != "c" or parts[4] != "0":
            return None
        numbers = (parts[0], parts[2], parts[3])
        if not all(part.isascii() and part.isdigit() for part in numbers):
            return None
        level, row, column = map(int, numbers)
        if level >= len(self.tiles.levels):
            return None
        rows, columns = self.tiles.levels[level].grid
        return (level, row, column) if row < rows and column < columns else None

    def _serve(self, level: int, row: int, column: int) -> bytes:
        tile = self.tiles.tile(level, row, column)
        if self.overlay is not None:
            tile = tile.copy()
            self.overlay.paste(tile, row * TILE, column * TILE, self.tiles.levels[level].downsample)
        return tile.tobytes()


def _documents(tiles: TileSource, slide: Slide) -> dict[str, bytes]:
    """Return the metadata files: the group's and one an array. No names, no free text."""
    unit = {"unit": "micrometer"} if slide.mpp else {}
    mpp = slide.mpp or (1.0, 1.0)
    datasets = []
    documents = {}
    for index, level in enumerate(tiles.levels):
        scale = [level.downsample[0] * mpp[0], level.downsample[1] * mpp[1], 1.0]
        datasets.append(
            {
                "path": str(index),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        )
        documents[f"{index}/zarr.json"] = _json(_array_document(level.shape))
    axes = [
        {"name": "y", "type": "space", **unit},
        {"name": "x", "type": "space", **unit},
        {"name": "c", "type": "channel"},
    ]
    multiscales = [{"name": "slide", "axes": axes, "datasets": datasets, "type": "mean"}]
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
    }
    return {"zarr.json": _json(group), **documents}


def _array_document(shape: tuple[int, int]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [*shape, 3],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [TILE, TILE, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 255,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
        "dimension_names": ["y", "x", "c"],
    }


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _cut(data: bytes, part: ByteRequest | None) -> bytes:
    if part is None:
        return data
    if isinstance(part, RangeByteRequest):
        return data[part.start : part.end]
    if isinstance(part, OffsetByteRequest):
        return data[part.offset :]
    if isinstance(part, SuffixByteRequest):
        return data[-part.suffix :] if part.suffix else b""
    raise TypeError(f"unexpected byte range {part!r}")


def _refuse() -> NoReturn:
    raise ValueError("a slide is read only: it does not support writing")
