"""Tables of frames in DICOM files, looked at before libdicom follows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.identity import parts_of

#: The pixel data, explicit little endian: in frames when its length is undefined.
_PIXELS = re.compile(rb"\xe0\x7f\x10\x00O[BW]\0\0(.{4})(.{8})", re.DOTALL)
_EXTENDED = re.compile(rb"\xe0\x7f\x01\x00OV\0\0(.{4})", re.DOTALL)
_UNDEFINED, _ITEM = b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0"
_BLOCK, _MOST_BYTES, _MATCH = 2**20, 2**28, 20
_HEADER = 8


def check_dicom(path: Path) -> None:
    """Refuse slides whose offset tables run backwards or beyond the file's end.

    libdicom would crash the process when asked for such a frame. Other wrong offsets and lengths
    it notices itself, frame by frame.

    Parameters
    ----------
    path : pathlib.Path
        A file of the series; its other files are looked at too.

    Raises
    ------
    SlideError
    """
    try:
        for part in parts_of(path):
            with part.open("rb") as file:
                if not _tables_are_sound(file, part.stat().st_size):
                    raise SlideError(
                        f"{part.name} is damaged: its table of frames is out of order or points "
                        "beyond the end of the file; copy it again from its source."
                    )
    except OSError as error:
        raise SlideError(
            f"{path.name} cannot be read with the other files of its series "
            f"({error.strerror}); check the disk they are on."
        ) from error


def _up_to_the_pixels(file: BinaryIO) -> bytes:
    """Return the file's start up to where the pixel data begins."""
    head = bytearray()
    while len(head) < _MOST_BYTES and (block := file.read(_BLOCK)):
        seen = max(0, len(head) - _MATCH)
        head += block
        if _PIXELS.search(head, seen):
            break
    return bytes(head)


def _tables_are_sound(file: BinaryIO, size: int) -> bool:
    head = _up_to_the_pixels(file)
    found = _PIXELS.search(head)
    if found is None or found[1] != _UNDEFINED or found[2][:4] != _ITEM:
        return True  # not in frames, or libdicom says itself what is wrong
    length = int.from_bytes(found[2][4:], "little")
    first = found.end() + length
    if first > size:
        return False
    file.seek(found.end())
    table = file.read(length)
    extended = _EXTENDED.search(head, 0, found.start())
    tables = [np.frombuffer(table[: len(table) // 4 * 4], "<u4")]
    if extended is not None:
        count = int.from_bytes(extended[1], "little") // 8
        entries = head[extended.end() : min(extended.end() + 8 * count, found.start())]
        tables.append(np.frombuffer(entries[: len(entries) // 8 * 8], "<u8"))
    return all(_in_order(offsets, size - first) for offsets in tables)


def _in_order(offsets: np.ndarray, end: int) -> bool:
    if not len(offsets):
        return True
    return bool((offsets[1:] > offsets[:-1]).all() and int(offsets[-1]) + _HEADER <= end)
