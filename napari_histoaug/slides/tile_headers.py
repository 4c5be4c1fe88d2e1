"""How large a compressed tile says it is, read from its first bytes before anything is decoded.

A decoder allocates what a stream announces, so a few bytes can ask for gigabytes. And a stream
of another shape than its tile, but as many pixels, would be folded into the wrong picture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from napari_histoaug.slides.errors import TileError

_START_OF_SCAN, _MOST_SCANS = 0xDA, 200
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1}
_CODESTREAM = b"\xff\x4f\xff\x51"
_MOST_COMPONENTS = 4
_JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_BITS, _JXL_RATIOS = (
    (9, 13, 18, 30),
    ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)),
)

Size = tuple[int, int]


class JpegFrame(NamedTuple):
    """Pixels of a JPEG, and whether one scan holds all of it."""

    height: int
    width: int
    one_scan: bool


def check_size(found: Size, allowed: Iterable[Size]) -> None:
    """Refuse a stream whose (height, width) is none of the allowed ones.

    Raises
    ------
    TileError
    """
    if found not in allowed:
        raise TileError(f"a stream of {found[0]} x {found[1]} pixels, which is not its tile's size")


def check_scans(data: bytes, frame: JpegFrame) -> None:
    """Refuse a JPEG that would keep a decoder busy with scan after scan over the same pixels.

    Raises
    ------
    TileError
    """
    if not frame.one_scan and data.count(b"\xff\xda") > _MOST_SCANS:
        raise TileError("a JPEG with absurdly many scans")


def jpeg_frame(data: bytes) -> JpegFrame:
    """Walk the segments of a JPEG up to its first scan.

    Raises
    ------
    TileError
        When there is no well-formed frame before the first scan.
    """
    at, kind, components = 2, 0, 0
    frame: Size | None = None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        length = data[at + 2] << 8 | data[at + 3]
        if marker in _FRAMES and frame is None and at + 10 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            frame, kind, components = (height, width), marker, data[at + 9]
        elif marker == _START_OF_SCAN:
            if frame is None or at + 5 > len(data):
                break
            return JpegFrame(*frame, kind in _SEQUENTIAL and data[at + 4] == components)
        at += 2 + max(length, 2)
    raise TileError("not a JPEG stream")


def _jpeg(data: bytes) -> Size:
    frame = jpeg_frame(data)
    check_scans(data, frame)
    return frame.height, frame.width


def _jpeg_2000(data: bytes) -> Size:
    at = data.find(_CODESTREAM, 0, 4096)
    if at < 0 or len(data) < at + 42:
        raise TileError("not a JPEG 2000 stream")
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    if int.from_bytes(data[at + 40 : at + 42], "big") > _MOST_COMPONENTS:
        raise TileError("a JPEG 2000 stream with too many components")
    return height - top, width - left


def _png(data: bytes) -> Size:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        raise TileError("not a PNG stream")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _webp(data: bytes) -> Size:
    kind = data[12:16]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        raise TileError("not a WebP stream")
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[27:30], "little"), 1 + int.from_bytes(data[24:27], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    raise TileError("not a WebP stream")


def _jpeg_xl(data: bytes) -> Size:
    start = _jxl_codestream(data)
    if data[start : start + 2] != b"\xff\x0a" or len(data) < start + 14:
        raise TileError("not a JPEG XL stream")
    bits = int.from_bytes(data[start + 2 : start + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take(_JXL_BITS[take(2)]) + 1

    height = side()
    ratio = take(3)
    if not ratio:
        return height, side()
    over, under = _JXL_RATIOS[ratio - 1]
    return height, height * over // under


def _jxl_codestream(data: bytes) -> int:
    """Return where the codestream begins: at once, or in a box of the container."""
    if data[:12] != _JXL_CONTAINER:
        return 0
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"jxlc":
            return at + 8
        if kind == b"jxlp":
            return at + 12
        if length < 8:
            break
        at += length
    raise TileError("not a JPEG XL stream")


#: TIFF compressions whose streams state their own size, and how it is read.
STATED_SIZE: dict[int, Callable[[bytes], Size]] = {
    7: _jpeg, 33007: _jpeg,
    33003: _jpeg_2000, 33004: _jpeg_2000, 33005: _jpeg_2000, 34712: _jpeg_2000,
    34933: _png,
    34927: _webp, 50001: _webp,
    50002: _jpeg_xl, 52546: _jpeg_xl,
}  # fmt: skip
#: The others we read: none, LZW, deflate, PackBits, LZMA, zstd. They fill a buffer of the tile's
#: size and not a byte more, whatever the stream says.
BOUNDED = frozenset({1, 5, 8, 32946, 32773, 34925, 34926, 50000})
