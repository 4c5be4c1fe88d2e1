"""Decoding one stored tile or strip, strictly: damage is an error, never a wrong pixel.

Baseline JPEG goes through libjpeg-turbo with its warnings as errors; every other compression
through imagecodecs, as tifffile drives it. Neither holds the interpreter's lock while decoding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import simplejpeg
import tifffile

from napari_histoaug.slides.errors import TileError
from napari_histoaug.slides.tile_headers import (
    STATED_SIZE,
    Size,
    check_scans,
    check_size,
    jpeg_frame,
)

#: (stored bytes, index in the page, scratch bytes or None) -> samples (H, W, C)
Decoder = Callable[[bytes, int, np.ndarray | None], np.ndarray]

_JPEG = {7, 33007}
_GREY_INVERTED, _GREY, _RGB, _YCBCR = 0, 1, 2, 6
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


def decoder(page: tifffile.TiffPage, tile: tuple[int, int]) -> Decoder:
    """Return the function that decodes the tiles of a page.

    It raises :class:`TileError` and may write into the scratch it is given and return a view of
    it. The samples of a tile at the image's edge may be cut at that edge.

    Parameters
    ----------
    page : tifffile.TiffPage
        Its file must be open now, not later.
    tile : (height, width)
        Pixels of a stored tile; streams that announce another size are refused undecoded.
    """
    sizes = _Sizes(page, tile)
    if page.compression in _JPEG and page.bitspersample == 8 and not page.extrasamples:
        samples = page.samplesperpixel if page.planarconfig == 1 else 1
        if page.photometric in {_RGB, _YCBCR} and samples == 3:
            return _jpeg_decoder(page.jpegtables, "RGB", page.photometric == _RGB, sizes)
        if page.photometric in {_GREY_INVERTED, _GREY, _RGB} and samples == 1:
            return _jpeg_decoder(page.jpegtables, "GRAY", False, sizes)
    return _general_decoder(page, sizes)


class _Sizes:
    """The (height, width) that the stream of each tile may have: whole, or cut at the edge."""

    def __init__(self, page: tifffile.TiffPage, tile: Size) -> None:
        self.tile = tile
        self._whole = {tile}
        self._image = (page.imagelength, page.imagewidth)
        self._across = -(-page.imagewidth // tile[1])
        self._count = -(-page.imagelength // tile[0]) * self._across

    def of(self, index: int) -> set[Size]:
        row, column = divmod(index % self._count, self._across)
        height = min(self.tile[0], self._image[0] - row * self.tile[0])
        width = min(self.tile[1], self._image[1] - column * self.tile[1])
        if (height, width) == self.tile:
            return self._whole
        return {self.tile, (height, width), (height, self.tile[1])}


def _jpeg_decoder(
    tables: bytes | None, colorspace: str, stored_as_rgb: bool, sizes: _Sizes
) -> Decoder:
    # A tables-only stream is SOI, tables, EOI: what lies between belongs after the tile's own SOI.
    extra = tables[2:-2] if tables else b""
    samples = 1 if colorspace == "GRAY" else 3

    def decode(data: bytes, index: int, scratch: np.ndarray | None) -> np.ndarray:
        prefix = extra
        if stored_as_rgb:
            start, jfif = _after_application_data(data)
            if not jfif:
                # Without a JFIF marker the tag decides, so say it in the stream's own words.
                prefix, data = _ADOBE_RGB + extra, b"\xff\xd8" + data[start:]
        if prefix:
            data = b"".join((b"\xff\xd8", prefix, data[2:]))
        frame = jpeg_frame(data)
        check_size((frame.height, frame.width), sizes.of(index))
        check_scans(data, frame)
        if scratch is None:
            scratch = np.empty((*sizes.tile, samples), np.uint8)
        try:
            return simplejpeg.decode_jpeg(data, colorspace, buffer=scratch, strict=True)
        except ValueError as error:
            raise TileError(str(error)) from error

    return decode


def _after_application_data(data: bytes) -> tuple[int, bool]:
    """Return where the application markers after SOI end and whether one of them is JFIF's."""
    at, jfif = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF and 0xE0 <= data[at + 1] <= 0xEF:
        jfif = jfif or (data[at + 1] == 0xE0 and data[at + 4 : at + 8] == b"JFIF")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at, jfif


def _general_decoder(page: tifffile.TiffPage, sizes: _Sizes) -> Decoder:
    decode_page, tables, dtype = page.decode, page.jpegtables, page.dtype
    stated = STATED_SIZE.get(page.compression)

    def decode(data: bytes, index: int, scratch: np.ndarray | None) -> np.ndarray:
        if stated is not None:
            check_size(stated(data), sizes.of(index))
        try:
            segment, _, _ = decode_page(data, index, jpegtables=tables)
        # imagecodecs raises subclasses of RuntimeError, one a codec.
        except (RuntimeError, ValueError, OSError, NotImplementedError, MemoryError) as error:
            raise TileError(str(error) or type(error).__name__) from error
        if segment is None or segment.ndim != 4 or segment.dtype != dtype:
            raise TileError("the tile's pixels are not of the kind its tags announce")
        return segment[0]

    return decode
