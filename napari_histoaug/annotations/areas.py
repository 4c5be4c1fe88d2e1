"""Summed-area tables: how many pixels of each class any rectangle holds, in constant time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SummedAreas:
    """One summed-area table a class, after F. C. Crow, "Summed-area tables for texture mapping"
    (SIGGRAPH 1984).

    Counts are exact: the tables are uint32, or uint64 where the mask has 2**32 pixels or more, and
    differences of wrapped sums are right as long as a count itself fits.

    Parameters
    ----------
    masks : bool (classes, height, width)
        Where each class is; classes may overlap.
    """

    def __init__(self, masks: NDArray[np.bool_]) -> None:
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise ValueError(f"expected masks (classes, height, width), got {masks.shape}")
        self._start(*masks.shape)
        for table, mask in zip(self._tables, masks, strict=True):
            _sum_into(table, mask)

    @classmethod
    def from_labels(cls, labels: NDArray[np.uint8], classes: int) -> SummedAreas:
        """Make the tables of a label mask.

        Parameters
        ----------
        labels : uint8 (height, width)
            0 background, else 1 + the index of a class, as
            :func:`~napari_histoaug.annotations.rasterize` gives it. Values above ``classes`` are
            background.
        classes : int
            How many classes there are.
        """
        areas = cls.__new__(cls)
        areas._start(classes, *labels.shape)
        for index, table in enumerate(areas._tables):
            _sum_into(table, labels == index + 1)
        return areas

    def _start(self, classes: int, height: int, width: int) -> None:
        self.shape = (height, width)
        dtype = np.uint32 if height * width < 2**32 else np.uint64
        self._tables = np.zeros((classes, height + 1, width + 1), dtype)

    def __len__(self) -> int:
        """How many classes there are."""
        return len(self._tables)

    def counts(
        self, y: ArrayLike, x: ArrayLike, height: ArrayLike, width: ArrayLike
    ) -> NDArray[np.int64]:
        """Count the pixels of every class in one rectangle or in many.

        Parameters
        ----------
        y, x, height, width : int or array of int
            In pixels of the mask, broadcast against each other; what lies outside counts nothing.

        Returns
        -------
        int64 (classes, ...)
            The dots are the broadcast shape of the arguments.
        """
        y, x, height, width = np.broadcast_arrays(y, x, height, width)
        top, bottom = (np.clip(edge, 0, self.shape[0]) for edge in (y, y + height))
        left, right = (np.clip(edge, 0, self.shape[1]) for edge in (x, x + width))
        t = self._tables
        # Grouped so that wrapped sums stay wrapped the same way.
        found = (t[:, bottom, right] - t[:, top, right]) - (t[:, bottom, left] - t[:, top, left])
        return np.asarray(found, dtype=np.int64)

    def totals(self) -> NDArray[np.int64]:
        """Return the pixels of every class in the whole mask, int64 (classes,)."""
        return self._tables[:, -1, -1].astype(np.int64)


def _sum_into(table: NDArray[np.unsignedinteger], mask: NDArray[np.bool_]) -> None:
    inside = table[1:, 1:]
    np.cumsum(mask, axis=0, dtype=table.dtype, out=inside)
    np.cumsum(inside, axis=1, out=inside)
