"""Predicting a large image from overlapping windows whose borders cannot be seen.

Windows of side P stand every P / 2 pixels, on one grid for the whole image, and are weighed by
sin^2: the weights of all windows over a pixel add up to 1 exactly. No block needs to know what its
neighbours computed, and what a pixel gets does not depend on how the image was cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
Predict = Callable[[npt.NDArray[np.uint8]], Float]
"""uint8 (N, P, P, 3) to float32 (N, classes, P, P)."""
Read = Callable[[int, int, int, int], Image]
"""(y, x, height, width), possibly reaching outside, to uint8 (height, width, 3)."""


def window_weights(patch: int) -> Float:
    """Hann weights (patch, patch) of one window; those of its neighbours complete them to 1.

    Raises
    ------
    ValueError
        For an odd side.
    """
    if patch < 2 or patch % 2:
        raise ValueError(f"a window of {patch} pixels; its side must be even")
    line = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2
    return np.outer(line, line).astype(np.float32)


def window_starts(start: int, length: int, patch: int) -> range:
    """First pixels of the windows that touch ``[start, start + length)`` along one axis."""
    half = patch // 2
    first = (start // half - 1) * half
    return range(first, start + length, half)


def predict_block(
    predict: Predict,
    read: Read,
    box: Box,
    patch: int,
    *,
    batch: int = 8,
    wanted: Callable[[int, int], bool] | None = None,
    kept: KeptWindows | None = None,
) -> Float | None:
    """Predict one block of an image.

    Parameters
    ----------
    predict : callable
        The network: uint8 (N, patch, patch, 3) to probabilities float32 (N, classes, patch, patch).
    read : callable
        The image.
    box : (y, x, height, width)
        The block, in pixels of the image.
    patch : int
        Side of a window.
    batch : int
        Windows a call.
    wanted : callable, optional
        Told a window's first (y, x); False leaves its share at 0, for instance without tissue.
    kept : KeptWindows, optional
        What neighbouring blocks of the same image have left; windows that reach into blocks to
        come are left in turn.

    Returns
    -------
    float32 (classes, height, width) or None
        None when no window was wanted.
    """
    y, x, height, width = box
    rows, columns = window_starts(y, height, patch), window_starts(x, width, patch)
    places = [(r, c) for r in rows for c in columns if wanted is None or wanted(r, c)]
    if not places:
        return None
    kept = KeptWindows(0) if kept is None else kept
    top, left = rows[0], columns[0]
    size = (rows[-1] + patch - top, columns[-1] + patch - left)
    new = [place for place in places if place not in kept]
    predicted = _predicted(predict, read, new, patch, batch)
    weights = window_weights(patch)
    total: Float | None = None
    for place in places:
        part = kept.take(place) if place in kept else next(predicted)
        r, c = place[0] - top, place[1] - left
        if total is None:
            total = np.zeros((len(part), *size), np.float32)
        total[:, r : r + patch, c : c + patch] += part * weights
        if r + patch > y - top + height or c + patch > x - left + width:
            kept.keep(place, part)
    assert total is not None
    return total[:, y - top : y - top + height, x - left : x - left + width]


class KeptWindows:
    """Windows over the border of two blocks, computed for one and kept for the other.

    They are added up in the same order either way, so that results do not depend on it.

    Parameters
    ----------
    most : int
        Bytes to hold at most; what does not fit is computed again.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._parts: dict[tuple[int, int], Float] = {}

    def __contains__(self, place: object) -> bool:
        return place in self._parts

    def take(self, place: tuple[int, int]) -> Float:
        """Hand out a window (classes, patch, patch), and hold it no longer."""
        part = self._parts.pop(place)
        self._held -= part.nbytes
        return part

    def keep(self, place: tuple[int, int], part: Float) -> None:
        """Hold a window by its first (y, x), if there is room."""
        if self._held + part.nbytes <= self._most:
            # A copy, as a view would hold its whole batch.
            self._parts[place] = part.copy()
            self._held += part.nbytes


def around(places: Sequence[tuple[int, int]], patch: int) -> Box:
    """The box (y, x, height, width) that the windows at `places` fill."""
    rows, columns = zip(*places, strict=True)
    top, left = min(rows), min(columns)
    return top, left, max(rows) + patch - top, max(columns) + patch - left


def _predicted(
    predict: Predict, read: Read, places: Sequence[tuple[int, int]], patch: int, batch: int
) -> Iterator[Float]:
    """Predict the windows at `places`, one after the other, many a call."""
    if not places:
        return
    box = around(places, patch)
    image = read(*box)
    for start in range(0, len(places), batch):
        some = [(r - box[0], c - box[1]) for r, c in places[start : start + batch]]
        yield from predict(np.stack([image[r : r + patch, c : c + patch] for r, c in some]))
