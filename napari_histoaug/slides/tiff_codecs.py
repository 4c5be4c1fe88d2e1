"""Decoding one stored tile or strip, strictly: damage is an error, never a wrong pixel.

Baseline JPEG goes through libjpeg-turbo with its warnings as errors; every other compression
through imagecodecs, as tifffile drives it. Neither holds the interpreter's lock while decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import simplejpeg
import tifffile

from napari_histoaug.slides.errors import TileError

#: (stored bytes, index in the page, scratch bytes or None) -> samples (H, W, C)
Decoder = Callable[[bytes, int, np.ndarray | None], np.ndarray]

_JPEG, _JPEG_2000 = 7, {33003, 33004, 33005, 34712}
_GREY_INVERTED, _GREY, _RGB, _YCBCR = 0, 1, 2, 6
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
_CODESTREAM = b"\xff\x4f\xff\x51"
_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 200


def decoder(page: tifffile.TiffPage, tile: tuple[int, int]) -> Decoder:
    """Return the function that decodes the tiles of a page.

    It raises :class:`TileError` and may write into the scratch it is given and return a view of
    it. The samples of a tile at the image's edge may be cut at that edge.

    Parameters
    ----------
    page : tifffile.TiffPage
        Its file must be open now, not later.
    tile : (height, width)
        Pixels of a stored tile; more than that is never decoded.
    """
    strict = page.compression == _JPEG and page.planarconfig == 1 and not page.extrasamples
    if strict and page.bitspersample == 8:
        if page.photometric in {_RGB, _YCBCR} and page.samplesperpixel == 3:
            return _jpeg_decoder(page.jpegtables, "RGB", page.photometric == _RGB, tile)
        if page.photometric in {_GREY, _GREY_INVERTED} and page.samplesperpixel == 1:
            return _jpeg_decoder(page.jpegtables, "GRAY", False, tile)
    return _general_decoder(page, tile)


def _jpeg_decoder(
    tables: bytes | None, colorspace: str, stored_as_rgb: bool, tile: tuple[int, int]
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
        if data.count(_START_OF_SCAN) > _MOST_SCANS:
            raise TileError("a JPEG with absurdly many scans")
        if scratch is None:
            scratch = np.empty((*tile, samples), np.uint8)
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


def _general_decoder(page: tifffile.TiffPage, tile: tuple[int, int]) -> Decoder:
    decode_page, tables, dtype = page.decode, page.jpegtables, page.dtype
    wavelets = page.compression in _JPEG_2000

    def decode(data: bytes, index: int, scratch: np.ndarray | None) -> np.ndarray:
        if wavelets:
            _check_codestream(data, tile)
        try:
            segment, _, _ = decode_page(data, index, jpegtables=tables)
        # imagecodecs raises subclasses of RuntimeError, one a codec.
        except (RuntimeError, ValueError, OSError, NotImplementedError, MemoryError) as error:
            raise TileError(str(error) or type(error).__name__) from error
        if segment is None or segment.ndim != 4 or segment.dtype != dtype:
            raise TileError("the tile's pixels are not of the kind its tags announce")
        return segment[0]

    return decode


def _check_codestream(data: bytes, tile: tuple[int, int]) -> None:
    """Refuse a JPEG 2000 stream that announces more pixels than the tile has."""
    at = data.find(_CODESTREAM, 0, 4096)
    if at < 0 or len(data) < at + 42:
        raise TileError("not a JPEG 2000 stream")
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    (components,) = struct.unpack_from(">H", data, at + 40)
    if width - left > tile[1] or height - top > tile[0] or components > 4:
        raise TileError("a JPEG 2000 stream larger than its tile")
