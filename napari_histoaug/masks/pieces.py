"""The separate painted pieces of one class, found chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histoaug.masks.chunk_files import CHUNK, decode
from napari_histoaug.masks.store import Box, MaskStore

_TOUCHING = np.ones((3, 3))
Cell = tuple[int, int]


class FrozenMask:
    """What was painted in one class at one moment, whatever is painted later.

    Parameters
    ----------
    chunks : mapping of (row, column) to bytes
        The level-0 chunks, see :meth:`MaskStore.frozen`.
    value : int
        Class value.
    """

    def __init__(self, chunks: Mapping[Cell, bytes], value: int) -> None:
        self._masks: dict[Cell, NDArray[np.bool_]] = {}
        for cell, data in chunks.items():
            mask = decode(data) == value
            if mask.any():
                self._masks[cell] = mask

    @classmethod
    def of(cls, store: MaskStore, value: int) -> FrozenMask:
        """Freeze what is painted in a class now."""
        return cls(store.frozen(), value)

    def boxes(self) -> list[Box]:
        """Level-0 bounding boxes (y, x, height, width) of the pieces that touch nowhere."""
        parts = {cell: ndimage.label(mask, _TOUCHING)[0] for cell, mask in self._masks.items()}
        groups = _Groups()
        edges: dict[tuple[Cell, int], list[int]] = {}
        for cell, labels in parts.items():
            for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
                y, x = cell[0] * CHUNK, cell[1] * CHUNK
                edges[cell, index] = [
                    y + rows.start,
                    x + columns.start,
                    y + rows.stop,
                    x + columns.stop,
                ]
        for cell, labels in parts.items():
            for other in _after(cell):
                if other in parts:
                    for a, b in _contacts(labels, parts[other], other[0] - cell[0], other, cell):
                        groups.join((cell, a), (other, b))
        return _united(edges, groups)

    def fill(self, box: Box) -> NDArray[np.bool_]:
        """Return bool (height, width): True where the class was painted in a level-0 box."""
        out = np.zeros(box[2:], bool)
        for row in range(box[0] // CHUNK, -(-(box[0] + box[2]) // CHUNK)):
            for column in range(box[1] // CHUNK, -(-(box[1] + box[3]) // CHUNK)):
                mask = self._masks.get((row, column))
                if mask is not None:
                    _paste(out, box, mask, (row * CHUNK, column * CHUNK))
        return out


class _Groups:
    """Which pieces belong together: disjoint sets."""

    def __init__(self) -> None:
        self._parent: dict[tuple[Cell, int], tuple[Cell, int]] = {}

    def find(self, item: tuple[Cell, int]) -> tuple[Cell, int]:
        while (parent := self._parent.get(item, item)) != item:
            item = parent
        return item

    def join(self, a: tuple[Cell, int], b: tuple[Cell, int]) -> None:
        self._parent[self.find(b)] = self.find(a)


def _after(cell: Cell) -> list[Cell]:
    """The neighbours that come later, so that every pair is looked at once."""
    row, column = cell
    return [(row, column + 1), (row + 1, column - 1), (row + 1, column), (row + 1, column + 1)]


def _contacts(
    a: NDArray[np.int32], b: NDArray[np.int32], down: int, other: Cell, cell: Cell
) -> set[tuple[int, int]]:
    """The pairs of labels that touch across the border of two chunks, corners included."""
    across = other[1] - cell[1]
    if down and across:
        corner = (int(a[-1, -1 if across > 0 else 0]), int(b[0, 0 if across > 0 else -1]))
        return {corner} if all(corner) else set()
    first, second = (a[-1], b[0]) if down else (a[:, -1], b[:, 0])
    pairs = [(first, second), (first[1:], second[:-1]), (first[:-1], second[1:])]
    return {
        (int(i), int(j)) for one, two in pairs for i, j in zip(one, two, strict=True) if i and j
    }


def _united(edges: dict[tuple[Cell, int], list[int]], groups: _Groups) -> list[Box]:
    boxes: dict[tuple[Cell, int], list[int]] = {}
    for item, (y0, x0, y1, x1) in edges.items():
        known = boxes.setdefault(groups.find(item), [y0, x0, y1, x1])
        known[:] = [min(known[0], y0), min(known[1], x0), max(known[2], y1), max(known[3], x1)]
    return sorted((y0, x0, y1 - y0, x1 - x0) for y0, x0, y1, x1 in boxes.values())


def _paste(out: NDArray[np.bool_], box: Box, mask: NDArray[np.bool_], corner: Cell) -> None:
    target, source = [], []
    for axis in (0, 1):
        low = max(box[axis], corner[axis])
        high = min(box[axis] + box[axis + 2], corner[axis] + CHUNK)
        target.append(slice(low - box[axis], high - box[axis]))
        source.append(slice(low - corner[axis], high - corner[axis]))
    out[target[0], target[1]] = mask[source[0], source[1]]
