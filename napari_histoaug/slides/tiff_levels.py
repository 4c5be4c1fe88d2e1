"""Which pages of a TIFF are the levels of the slide, and where their tiles are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile

from napari_histoaug.slides.errors import PixelError, SlideError, TileError
from napari_histoaug.slides.positional_file import PositionalFile
from napari_histoaug.slides.tiff_codecs import Decoder, decoder
from napari_histoaug.slides.tiff_colour import ColourRule, Window, colour_rule
from napari_histoaug.slides.tile_headers import BOUNDED, STATED_SIZE

#: A tile or strip is decoded whole, so it must fit: 64 Mpx of RGB in a strip, 16 Mpx in a tile.
_LARGEST_STRIP, _LARGEST_TILE = 2**26, 2**24
_UNCOMPRESSED = 1
_STRIP_PIXELS = 2**20

Page = tifffile.TiffPage | tifffile.TiffFrame


@dataclass(frozen=True)
class TiffLevel:
    """One level, independent of the open file.

    Attributes
    ----------
    shape : (height, width)
        Pixels.
    tile_shape : (height, width)
        The stored tile or strip.
    offsets, counts : int64 (planes, rows * columns)
        Where each tile's bytes are; one plane with all samples, or one plane a sample.
    decoders : tuple of Decoder
        One a plane.
    first_index : tuple of int
        Number of each plane's first tile within its page.
    colour : ColourRule
    """

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    offsets: np.ndarray
    counts: np.ndarray
    decoders: tuple[Decoder, ...]
    first_index: tuple[int, ...]
    colour: ColourRule

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        (height, width), (tile_height, tile_width) = self.shape, self.tile_shape
        return -(-height // tile_height), -(-width // tile_width)

    @cached_property
    def stored(self) -> np.ndarray:
        """Bool (rows, columns): which tiles have bytes."""
        return ((self.counts > 0) & (self.offsets > 0)).any(axis=0).reshape(self.grid)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether some tile has no bytes."""
        return not self.stored.all()

    def holds_any(self, y: int, x: int, height: int, width: int) -> bool:
        """Tell whether any tile that a box touches has bytes."""
        rows, columns = self.tile_shape
        part = self.stored[
            y // rows : -(-(y + height) // rows), x // columns : -(-(x + width) // columns)
        ]
        return bool(part.any())

    def decode(
        self, file: PositionalFile, row: int, column: int, scratch: np.ndarray | None = None
    ) -> np.ndarray:
        """Decode one tile.

        Returns
        -------
        (H, W, samples)
            As stored, at least the tile's part inside the image; possibly a view of `scratch`.

        Raises
        ------
        TileError
            When it is damaged or has no bytes.
        """
        index = row * self.grid[1] + column
        planes = [
            self._plane(plane, index, file, scratch if len(self.decoders) == 1 else None)
            for plane in range(len(self.decoders))
        ]
        samples = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
        height = min(self.tile_shape[0], self.shape[0] - row * self.tile_shape[0])
        width = min(self.tile_shape[1], self.shape[1] - column * self.tile_shape[1])
        if samples.shape[0] < height or samples.shape[1] < width:
            raise TileError("the tile holds fewer pixels than its place in the image")
        return samples

    def _plane(
        self, plane: int, index: int, file: PositionalFile, scratch: np.ndarray | None
    ) -> np.ndarray:
        offset, count = int(self.offsets[plane, index]), int(self.counts[plane, index])
        if not offset or not count:
            raise TileError("this tile, or one colour channel of it, has no bytes")
        try:
            data = file.read_at(offset, count)
        except OSError as error:
            raise TileError(error.strerror or "the file cannot be read") from error
        if len(data) < count:
            raise TileError("the file ends inside this tile")
        return self.decoders[plane](data, self.first_index[plane] + index, scratch)


def find_levels(tiff: tifffile.TiffFile, path: Path, window: Window | None) -> list[TiffLevel]:
    """Return the levels of the first image of a TIFF, finest first, each smaller than the last.

    Raises
    ------
    SlideError
        When the image is not one plane that has a faithful 8-bit RGB rendering.
    """
    if not tiff.series:
        raise SlideError(f"{path.name} contains no image; choose another file.")
    series = tiff.series[0]
    levels = [_level(level, path, window) for level in series.levels]
    if series.axes == "YXS":
        # tifffile ends a pyramid where its levels are not about halved.
        others = [
            other
            for other in tiff.series[1:]
            if (len(levels) == 1 or other.keyframe.is_reduced) and _continues(series, other)
        ]
        levels += [_level(other, path, window) for other in others]
    kept = levels[:1]
    for level in sorted(levels[1:], key=lambda level: level.shape, reverse=True):
        if level.shape[0] < kept[-1].shape[0] and level.shape[1] < kept[-1].shape[1]:
            kept.append(level)
    return kept


def _continues(first: tifffile.TiffPageSeries, other: tifffile.TiffPageSeries) -> bool:
    """Tell whether an image looks like a smaller copy of the first (pyramids without flags)."""
    same_kind = (other.axes, other.dtype, other.keyframe.is_tiled) == (
        first.axes,
        first.dtype,
        True,
    )
    if not same_kind:
        return False
    ratio = first.shape[0] / other.shape[0]
    expected = first.shape[1] / ratio
    return ratio > 1 and abs(other.shape[1] - expected) < max(1.5, 0.02 * expected)


def _level(series: tifffile.TiffPageSeries, path: Path, window: Window | None) -> TiffLevel:
    page = series.keyframe
    pages: list[Page] = [p for p in series.pages if p is not None]
    planes = 1
    if series.axes == "SYX" and len(pages) == 1 and page.planarconfig == 2:
        planes = min(page.samplesperpixel, 3)
    elif series.axes == "CYX" and len(pages) == 3 and page.samplesperpixel == 1:
        planes = 3
    elif series.axes not in {"YX", "YXS"} or len(pages) != 1:
        raise PixelError(
            f"{path.name} holds an image stack (axes {series.axes}, {series.shape}), not one RGB "
            "image; export one plane as 8-bit RGB."
        )
    if page.compression not in BOUNDED and page.compression not in STATED_SIZE:
        raise SlideError(
            f"{path.name} is compressed by {_name_of(page.compression)}, which cannot be read "
            "safely; convert it to JPEG, JPEG 2000 or deflate."
        )
    colour = colour_rule(page, path, window)
    if planes == 3 and page.photometric == 1:
        colour = ColourRule(window=colour.window)
    tile = (
        (page.tilelength, page.tilewidth)
        if page.is_tiled
        else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
    )
    shape = (page.imagelength, page.imagewidth)
    _check_sides(*shape, tile, path)
    if _is_one_plain_strip(page, tile):
        return _cut_strip(page, shape, colour)
    _check_size(tile, page.is_tiled, path)
    count = -(-shape[0] // tile[0]) * -(-shape[1] // tile[1])
    offsets, counts = _locations(pages, planes, count, path)
    if planes == len(pages):
        decoders = tuple(decoder(_full_page(p), tile) for p in pages)
        first_index: tuple[int, ...] = (0,) * planes
    else:
        decoders = (decoder(page, tile),) * planes
        first_index = tuple(plane * count for plane in range(planes))
    return TiffLevel(shape, tile, offsets, counts, decoders, first_index, colour)


def _name_of(compression: int) -> str:
    return f"{getattr(compression, 'name', 'an unknown method')} ({int(compression)})"


def _full_page(page: Page) -> tifffile.TiffPage:
    return page if isinstance(page, tifffile.TiffPage) else page.aspage()


def _locations(
    pages: list[Page], planes: int, count: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and byte counts, (planes, count) each."""
    offsets = [np.asarray(page.dataoffsets, np.int64) for page in pages]
    counts = [np.asarray(page.databytecounts, np.int64) for page in pages]
    needed = planes // len(pages) * count
    if any(len(part) < needed for part in (*offsets, *counts)):
        raise SlideError(
            f"{path.name} is damaged: it lists fewer tiles than its size needs; "
            "copy it again from its source."
        )
    return tuple(
        np.concatenate([part[:needed] for part in parts]).reshape(planes, count)
        for parts in (offsets, counts)
    )  # type: ignore[return-value]


def _is_one_plain_strip(page: tifffile.TiffPage, tile: tuple[int, int]) -> bool:
    return (
        not page.is_tiled
        and page.compression == _UNCOMPRESSED
        and page.predictor == 1
        and page.planarconfig == 1
        and page.fillorder == 1
        and len(page.dataoffsets) == 1
        and tile[0] * tile[1] > _STRIP_PIXELS
    )


def _cut_strip(page: tifffile.TiffPage, shape: tuple[int, int], colour: ColourRule) -> TiffLevel:
    """Treat an uncompressed image in one piece as strips of about a megapixel."""
    rows = max(1, _STRIP_PIXELS // shape[1])
    samples = page.samplesperpixel
    stored = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    row_bytes = shape[1] * samples * stored.itemsize
    first = np.arange(0, shape[0], rows, dtype=np.int64)
    sizes = np.minimum(rows, shape[0] - first) * row_bytes
    offsets = page.dataoffsets[0] + first * row_bytes

    def decode(data: bytes, index: int, scratch: np.ndarray | None) -> np.ndarray:
        pixels = np.frombuffer(data, stored).reshape(-1, shape[1], samples)
        return pixels.astype(stored.newbyteorder("="), copy=False)

    return TiffLevel(shape, (rows, shape[1]), offsets[None], sizes[None], (decode,), (0,), colour)


def _check_sides(height: int, width: int, tile: tuple[int, int], path: Path) -> None:
    if min(height, width, *tile) < 1:
        raise PixelError(
            f"{path.name} is damaged: it claims {height} x {width} pixels in tiles of {tile[0]} x "
            f"{tile[1]}; copy it again from its source."
        )


def _check_size(tile: tuple[int, int], tiled: bool, path: Path) -> None:
    if tile[0] * tile[1] > (_LARGEST_TILE if tiled else _LARGEST_STRIP):
        raise PixelError(
            f"{path.name} stores pieces of {tile[0]} x {tile[1]} pixels, too large to read one by "
            "one; convert it to a tiled TIFF."
        )
