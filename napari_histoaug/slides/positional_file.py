"""Bytes of a file by position, from many threads at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class PositionalFile:
    """An open file without a read position.

    It closes when the last thread lets go of it, never while another one reads: the number of
    a closed descriptor may already belong to another file.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OSError
        When it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._turn = threading.Lock()

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, count, offset)
        with self._turn:  # Windows has one position a descriptor
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, count)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
