"""Cutting a GeoJSON text of any size into its features, a few megabytes at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

import numpy as np

_PIECE = 2**20
_QUOTE, _BACKSLASH, _OPEN, _CLOSE = b'"\\{}'
_DECODER = json.JSONDecoder()
_DEEPEST = 1000
_SPACE = b" \t\r\n"


class CutOffError(Exception):
    """The text ends in the middle."""


class FeatureText:
    """A GeoJSON text, cut into what stands where features should; nothing is judged here.

    Parameters
    ----------
    stream : binary file
        UTF-8, with or without a byte order mark.
    piece : int
        Bytes to read at a time; a feature larger than that is read whole.

    Attributes
    ----------
    whole : bool
        The text has no list of features: it is given whole, as one element.
    """

    def __init__(self, stream: IO[bytes], piece: int = _PIECE) -> None:
        self._stream, self._piece = stream, piece
        self._buffer = stream.read(piece).removeprefix(b"\xef\xbb\xbf")
        self.whole = False

    def batches(self) -> Iterator[list[bytes]]:
        """Yield the elements in order, some at a time.

        Raises
        ------
        CutOffError
            When the text ends before its list of features does.
        """
        self._skip_to_features()
        if self.whole:
            yield [self._buffer]
            return
        depth = 1
        while depth:
            found, depth, used = _split(self._buffer, depth)
            self._buffer = self._buffer[used:]
            if depth and not self._more():
                # no object is left in the rest, only the end of the list
                depth, _ = _between(self._buffer, depth, found)
                if depth:
                    raise CutOffError
            if found:
                yield found

    def _more(self) -> bool:
        """Read on; a long rest without an end in it makes larger pieces worth while."""
        new = self._stream.read(max(self._piece, len(self._buffer)))
        self._buffer += new
        return bool(new)

    def _skip_to_features(self) -> None:
        """Drop what stands before the first feature, or read all when there is no list."""
        while not self._buffer.strip() and self._more():
            pass
        self._buffer = self._buffer.lstrip(_SPACE)
        if self._buffer[:1] == b"[":
            self._buffer = self._buffer[1:]
            return
        while (start := _features_start(self._buffer)) is None and self._more():
            pass
        if start is None or start < 0:
            while self._more():
                pass
            self.whole = True
        else:
            self._buffer = self._buffer[start:]


def _features_start(buffer: bytes) -> int | None:
    """Return where the list ``features`` of an object begins; None: read on, -1: nowhere."""
    # one byte, one character: the JSON itself is ASCII, whatever the texts in it are
    text = buffer.decode("latin-1")
    at = 1
    if not text.startswith("{"):
        return -1
    try:
        while True:
            at = _after(text, at, ",")
            if text[at] == "}":
                return -1
            key, at = _DECODER.raw_decode(text, at)
            at = _after(text, at, ":")
            if key == "features" and text[at] == "[":
                return at + 1
            _, at = _DECODER.raw_decode(text, at)
            # a number at the end may go on
            _ = text[at]
    except (IndexError, json.JSONDecodeError):
        return None


def _after(text: str, at: int, sign: str) -> int:
    while text[at] in " \t\r\n" or text[at] == sign:
        at += 1
    return at


def _split(buffer: bytes, depth: int) -> tuple[list[bytes], int, int]:
    """Return the complete elements of a list, its depth after them, and the bytes used."""
    found: list[bytes] = []
    used = 0
    for start, end in _objects(buffer):
        depth, stop = _between(buffer[used:start], depth, found)
        if not depth:
            return found, 0, used + stop
        found.append(buffer[start:end])
        used = end
    return found, depth, used


def _objects(buffer: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of every complete object that lies in no other."""
    data = np.frombuffer(buffer, np.uint8)
    braces = np.flatnonzero((data == _OPEN) | (data == _CLOSE))
    quotes = np.flatnonzero(data == _QUOTE)
    if b"\\" in buffer:
        quotes = quotes[[not _is_escaped(buffer, int(at)) for at in quotes]]
    braces = braces[np.searchsorted(quotes, braces) % 2 == 0]
    depth = np.cumsum(np.where(data[braces] == _OPEN, 1, -1))
    ends = np.flatnonzero(depth == 0)
    starts = np.concatenate([[0], ends + 1])[: len(ends)]
    return list(zip(braces[starts].tolist(), (braces[ends] + 1).tolist(), strict=True))


def _is_escaped(buffer: bytes, at: int) -> bool:
    count = 0
    while at and buffer[at - 1] == _BACKSLASH:
        at, count = at - 1, count + 1
    return count % 2 == 1


def _between(gap: bytes, depth: int, found: list[bytes]) -> tuple[int, int]:
    """Follow what stands between two objects; what is not an object is an element, too.

    Returns
    -------
    depth : int
        Of the list after the gap; 0 when it ended in it.
    stop : int
        How much of the gap belongs to the list.
    """
    if gap.strip() == b",":
        return depth, len(gap)
    word = b""
    for stop, sign in enumerate(gap.decode("latin-1"), start=1):
        if sign in "[],":
            if word.strip():
                found.append(word.strip())
            word = b""
            depth += {"[": 1, "]": -1, ",": 0}[sign]
            if not depth:
                return 0, stop
            if depth > _DEEPEST:
                raise RecursionError
        else:
            word += sign.encode("latin-1")
    if word.strip():
        found.append(word.strip())
    return depth, len(gap)
