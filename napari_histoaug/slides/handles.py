"""One handle a file a process: readers of the same file read through the same one."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

Opened = TypeVar("Opened")


class Handle(Generic[Opened]):
    """What a file is open as, held by every reader of it.

    What is open closes by itself when nobody refers to it any more: when the last reader has let
    go of this and the last thread has come back from reading.

    Attributes
    ----------
    current : Opened
        Take it once for each read: another thread may put a fresh one in its place.
    """

    def __init__(self, opened: Opened) -> None:
        self.current = opened


def shared_handle(path: Path, opener: Callable[[Path], Opened]) -> Handle[Opened]:
    """Return the handle of an unchanged file that this process has open, else open it.

    Parameters
    ----------
    path : pathlib.Path
    opener : callable
        What opens it. Files opened by different ones have different handles.

    Raises
    ------
    OSError
        When there is no such file; and whatever `opener` raises.
    """
    return _pool(os.getpid()).get(_key(path, opener), lambda: opener(path))


def renew(path: Path, opener: Callable[[Path], Opened], opened: Opened) -> None:
    """Let every reader of a file read through a fresh handle from now on."""
    try:
        key = _key(path, opener)
    except OSError:  # gone, so nobody reads it any more
        return
    _pool(os.getpid()).put(key, opened)


class _Pool:
    """Handles that somebody holds, by what they are handles of."""

    def __init__(self) -> None:
        self._handles: WeakValueDictionary[Hashable, Handle[Any]] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, key: Hashable, open_it: Callable[[], Opened]) -> Handle[Opened]:
        with self._lock:
            held = self._handles.get(key)
        if held is not None:
            return held
        # Outside the lock: a slow disk shall not keep others from their files.
        fresh = Handle(open_it())
        with self._lock:
            return self._handles.setdefault(key, fresh)

    def put(self, key: Hashable, opened: object) -> None:
        with self._lock:
            held = self._handles.get(key)
            if held is not None:
                held.current = opened


@functools.cache
def _pool(process: int) -> _Pool:
    # A forked child opens files again: an inherited handle shares its position with the parent.
    return _Pool()


def _key(path: Path, opener: object) -> Hashable:
    status = path.stat()
    version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return opener, path.resolve(), version
