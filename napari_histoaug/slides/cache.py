"""A cache bounded in bytes, safe to use from many threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class ArrayCache:
    """Least recently used arrays, together at most ``limit`` bytes.

    An array is made once even when several threads ask for it at the same moment. A forked child
    starts with an empty cache, because the locks it inherits may be held by threads it has not.

    Parameters
    ----------
    limit : int
        Bytes kept; an array larger than this is returned but not kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = int(limit)
        self._start()

    def _start(self) -> None:
        self.nbytes = 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._being_made: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array of a key, making it (outside the lock) when it is not kept."""
        if self._process != os.getpid():
            self._start()
        found = self._look_up(key)
        if found is not None:
            return found
        with self._lock:
            turn = self._being_made.setdefault(key, threading.Lock())
        with turn:
            found = self._look_up(key)
            if found is None:
                try:
                    found = make()
                    self._keep(key, found)
                finally:
                    with self._lock:
                        self._being_made.pop(key, None)
        return found

    def drop(self, which: Callable[[Hashable], bool]) -> None:
        """Forget the arrays whose key answers True."""
        with self._lock:
            for key in [key for key in self._arrays if which(key)]:
                self.nbytes -= self._arrays.pop(key).nbytes

    def _look_up(self, key: Hashable) -> np.ndarray | None:
        with self._lock:
            found = self._arrays.get(key)
            if found is not None:
                self._arrays.move_to_end(key)
            return found

    def _keep(self, key: Hashable, array: np.ndarray) -> None:
        # Shared between threads from here on, so nobody may write into it.
        array.flags.writeable = False
        if array.nbytes > self.limit:
            return
        with self._lock:
            old = self._arrays.pop(key, None)
            self.nbytes += array.nbytes - (0 if old is None else old.nbytes)
            self._arrays[key] = array
            while self.nbytes > self.limit:
                self.nbytes -= self._arrays.popitem(last=False)[1].nbytes
