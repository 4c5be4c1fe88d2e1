"""A read-only zarr v3 store that serves a slide as an OME-Zarr 0.5 group, decoded on demand."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.metadata import array_document, group_document, ome_group
from napari_histoaug.slides.plan import TILE, PyramidLevel
from napari_histoaug.slides.slide import Slide
from napari_histoaug.slides.tiles import TileSource, served_tiles

Cuttable = TypeVar("Cuttable", bytes, np.ndarray)

_OME = "cyx"
_DECODERS = min(32, 2 + (os.cpu_count() or 1))


class Overlay(Protocol):
    """Something that paints over the slide's pixels, such as accepted edits."""

    def paste(self, block: np.ndarray, y: int, x: int, downsample: tuple[float, float]) -> None:
        """Paint into a uint8 (H, W, 3) block in place.

        ``block[0, 0]`` sits at (y, x) in the pixels of the level with that (dy, dx) downsample.
        """
        ...


class SlideStore(Store):
    """A slide as a zarr group: arrays "0", "1", ... of uint8 (y, x, c), chunks of 512 x 512.

    The group is also an OME-Zarr 0.5 image. Its levels are the same pixels as arrays "cyx/0",
    "cyx/1", ... because OME-Zarr wants the channel axis first and viewers of RGB want it last.

    Chunks are decoded when they are asked for, in threads of our own, so that zarr's one event
    loop never waits for a decoder and a decoder that itself reads zarr never waits for a
    thread of zarr's. The overlay is painted on a copy of each chunk as it is served, so the
    cache holds the slide's own pixels only. Every chunk inside an array exists: a damaged one comes
    hatched, never as a silent fill value.

    Parameters
    ----------
    slide : Slide
    overlay : Overlay, optional
    cache_bytes : int, optional
        Most bytes of decoded tiles kept in memory for this store alone. By default all stores of
        the process share one cache of 256 MB.
    at_once : bool
        False: rather do without a sidecar than hash a large slide now.
    """

    def __init__(
        self,
        slide: Slide,
        overlay: Overlay | None = None,
        cache_bytes: int | None = None,
        at_once: bool = True,
    ) -> None:
        super().__init__(read_only=True)
        self.slide = slide
        self.overlay = overlay
        cache = served_tiles() if cache_bytes is None else ArrayCache(cache_bytes)
        self.tiles = TileSource(slide, cache, at_once)
        self._cache_bytes = cache_bytes
        self._documents = _documents(self.tiles.levels, slide.mpp)
        # The file and how it was opened: pixel size, colours.
        self._identity = (slide.fingerprint, slide.__reduce__()[1][1:])
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
        return SlideStore, (self.slide, self.overlay, self._cache_bytes)

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
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(_decoders(os.getpid()), self._serve, *place)
        return prototype.buffer.from_array_like(_cut(data, byte_range))

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

    async def getsize(self, key: str) -> int:
        """Return the bytes of a value without decoding it.

        Raises
        ------
        FileNotFoundError
            For a key that does not exist.
        """
        if key in self._documents:
            return len(self._documents[key])
        if self._chunk(key) is None:
            raise FileNotFoundError(key)
        return TILE * TILE * 3

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
                    yield f"{_OME}/{index}/c/0/{row}/{column}"

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
        parts = key.removeprefix(f"{_OME}/").split("/")
        channel = 2 if key.startswith(f"{_OME}/") else 4
        if len(parts) != 5 or parts[1] != "c" or parts[channel] != "0":
            return None
        level, row, column = (_number(parts[i]) for i in (0, 2, 3, 4) if i != channel)
        if level is None or row is None or column is None:
            return None
        if level >= len(self.tiles.levels):
            return None
        rows, columns = self.tiles.levels[level].grid
        return (level, row, column) if row < rows and column < columns else None

    def _serve(self, level: int, row: int, column: int) -> np.ndarray:
        """Return the bytes of a chunk, uint8 (n,); read-only memory of the cache without edits."""
        tile = self.tiles.tile(level, row, column)
        if self.overlay is not None:
            tile = tile.copy()
            self.overlay.paste(tile, row * TILE, column * TILE, self.tiles.levels[level].downsample)
        return tile.reshape(-1)


def _documents(levels: list[PyramidLevel], mpp: tuple[float, float] | None) -> dict[str, bytes]:
    """Return the metadata files: the group's and one an array. No names, no free text."""
    image = ome_group({f"{_OME}/{i}": level for i, level in enumerate(levels)}, mpp)
    documents = {"zarr.json": image, f"{_OME}/zarr.json": group_document({})}
    for i, level in enumerate(levels):
        documents[f"{i}/zarr.json"] = array_document(level.shape, channels_first=False)
        documents[f"{_OME}/{i}/zarr.json"] = array_document(level.shape, channels_first=True)
    return {key: json.dumps(document).encode() for key, document in documents.items()}


@functools.cache
def _decoders(process: int) -> ThreadPoolExecutor:
    """Return the threads that decode; a forked child, which inherits none, gets its own.

    Not the event loop's default threads: an OME-Zarr slide or a sidecar is read through zarr, which
    needs those to finish what ours wait for.
    """
    return ThreadPoolExecutor(_DECODERS, "histoaug-decode")


def _number(text: str) -> int | None:
    """Return the number a part of a key is; None when it is none, or not as zarr writes it."""
    plain = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if plain and str(int(text)) == text else None


def _cut(data: Cuttable, part: ByteRequest | None) -> Cuttable:
    if part is None:
        return data
    if isinstance(part, RangeByteRequest):
        return data[part.start : part.end]
    if isinstance(part, OffsetByteRequest):
        return data[part.offset :]
    if isinstance(part, SuffixByteRequest):
        return data[-part.suffix :] if part.suffix else data[:0]
    raise TypeError(f"unexpected byte range {part!r}")


def _refuse() -> NoReturn:
    raise ValueError("a slide is read only: it does not support writing")
