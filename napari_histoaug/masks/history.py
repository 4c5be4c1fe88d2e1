"""Undo and redo of strokes, whichever canvas they were painted on."""

from __future__ import annotations

from collections import deque

from napari_histoaug.masks.store import Change, MaskStore

MOST_BYTES = 128 * 2**20


class StrokeHistory:
    """The strokes of one visit to a slide, oldest first; bounded by the memory they take.

    Parameters
    ----------
    store : MaskStore
    most_bytes : int
        The oldest strokes are forgotten beyond that.
    """

    def __init__(self, store: MaskStore, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._most = most_bytes
        self._done: deque[Change] = deque()
        self._undone: list[Change] = []

    @property
    def can_undo(self) -> bool:
        """Whether :meth:`undo` would take something back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether :meth:`redo` would bring something back."""
        return bool(self._undone)

    def add(self, change: Change | None) -> None:
        """Remember a change the store just made; what was undone cannot be redone any more."""
        if change is None:
            return
        self._undone.clear()
        self._done.append(change)
        total = sum(entry.bytes for entry in self._done)
        while total > self._most and len(self._done) > 1:
            total -= self._done.popleft().bytes

    def undo(self) -> Change | None:
        """Take the last stroke back; return it, None when there is none.

        Raises
        ------
        MaskError
            When the store cannot be written; the stroke stays then.
        """
        if not self._done:
            return None
        self._store.restore(self._done[-1], undo=True)
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Change | None:
        """Bring the last undone stroke back; return it, None when there is none.

        Raises
        ------
        MaskError
            When the store cannot be written.
        """
        if not self._undone:
            return None
        self._store.restore(self._undone[-1], undo=False)
        self._done.append(self._undone.pop())
        return self._done[-1]
