"""Objects of images too large for memory: numbered block by block, joined over the seams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from napari_histoaug.metrics import Confusion
from napari_histoaug.metrics.objects import label_objects

Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]
Box = tuple[int, int, int, int]
TRUTH, PREDICTION = 0, 1


@dataclass(frozen=True)
class Found:
    """One object.

    Attributes
    ----------
    area : int
        Pixels.
    box : (y, x, height, width)
        Around it.
    iou : float
        With its partner; 0 for one without.
    """

    area: int
    box: Box
    iou: float = 0.0


@dataclass(frozen=True)
class ObjectErrors:
    """What matching objects came to.

    Attributes
    ----------
    counts : Confusion
        Matched, invented and missed objects.
    matched, invented, missed : tuple of Found
        The largest first; `matched` are those of the prediction.
    """

    counts: Confusion
    matched: tuple[Found, ...]
    invented: tuple[Found, ...]
    missed: tuple[Found, ...]


class _Side:
    """The objects of one side: areas and bounds of pieces, and which pieces belong together."""

    def __init__(self) -> None:
        self.parent: list[int] = [0]
        self.area: list[int] = [0]
        self.bounds: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]
        # The last row of the blocks above and the last column of the block to the left.
        self.below: dict[int, Int] = {}
        self.right: Int | None = None

    def add(self, mask: Bool, y: int, x: int) -> Int:
        """Number the objects of a block (8-neighbourhood); int64 (H, W)."""
        from scipy.ndimage import find_objects

        labels = label_objects(mask).astype(np.int64) if mask.any() else np.zeros(mask.shape, int)
        first = len(self.parent) - 1
        areas = np.bincount(labels.ravel())[1:]
        for area, place in zip(areas.tolist(), find_objects(labels), strict=True):
            rows, columns = place
            self.parent.append(len(self.parent))
            self.area.append(area)
            self.bounds.append((y + rows.start, x + columns.start, y + rows.stop, x + columns.stop))
        labels[labels > 0] += first
        return labels

    def join(self, above: Int, here: Int) -> None:
        """Unite the objects of two lines of pixels that touch, also at corners; both int64 (n,)."""
        for shift in (-1, 0, 1):
            a = above[max(shift, 0) : len(above) + min(shift, 0)]
            b = here[max(-shift, 0) : len(here) + min(-shift, 0)]
            both = (a > 0) & (b > 0)
            for one, other in np.unique(np.stack([a[both], b[both]], 1), axis=0).tolist():
                self.parent[self.root(one)] = self.root(other)

    def root(self, piece: int) -> int:
        """The piece that stands for an object."""
        while self.parent[piece] != piece:
            self.parent[piece] = self.parent[self.parent[piece]]
            piece = self.parent[piece]
        return piece

    def objects(self) -> dict[int, Found]:
        """All objects by their root."""
        found: dict[int, Found] = {}
        for piece in range(1, len(self.parent)):
            root, (top, left, bottom, right) = self.root(piece), self.bounds[piece]
            area = self.area[piece]
            if root in found:
                area += found[root].area
                y, x, height, width = found[root].box
                top, left = min(top, y), min(left, x)
                bottom, right = max(bottom, y + height), max(right, x + width)
            found[root] = Found(area, (top, left, bottom - top, right - left))
        return found


class ObjectCounter:
    """Matches the objects of two masks that are handed over block by block.

    Blocks come row by row from the top, each row from the left, and tile a rectangle.
    """

    def __init__(self) -> None:
        self._sides = (_Side(), _Side())
        self._shared: Counter[tuple[int, int]] = Counter()
        self._y = -1
        self._lines: tuple[dict[int, Int], dict[int, Int]] = ({}, {})

    def add(self, box: Box, truth: Bool, prediction: Bool) -> None:
        """Count a block; both masks are bool (height, width)."""
        y, x = box[:2]
        if y != self._y:
            for side, line in zip(self._sides, self._lines, strict=True):
                side.below, side.right = dict(line), None
                line.clear()
            self._y = y
        numbered = []
        for which, (side, mask) in enumerate(zip(self._sides, (truth, prediction), strict=True)):
            labels = side.add(mask, y, x)
            numbered.append(labels)
            self._join(side, self._lines[which], labels, x)
        both = (numbered[0] > 0) & (numbered[1] > 0)
        pairs, counts = np.unique(
            np.stack([numbered[0][both], numbered[1][both]], 1), axis=0, return_counts=True
        )
        for (one, other), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self._shared[one, other] += count

    @staticmethod
    def _join(side: _Side, line: dict[int, Int], labels: Int, x: int) -> None:
        if side.right is not None:
            side.join(side.right, labels[:, 0])
        if x in side.below:
            side.join(side.below[x], labels[0])
        # Corners: the block above to the left ends, the one above to the right begins beside us.
        corners = ((x - 1, labels[0, 0]), (x + labels.shape[1], labels[0, -1]))
        for column, own in corners:
            for start, above in side.below.items():
                if start <= column < start + len(above):
                    side.join(above[column - start][None], np.array([own]))
        line[x] = labels[-1].copy()
        side.right = labels[:, -1].copy()

    def result(self, least_iou: float = 0.5) -> ObjectErrors:
        """Match one to one so that the sum of intersections over union is largest.

        Parameters
        ----------
        least_iou : float
            A pair overlapping less is none.
        """
        truth, prediction = (side.objects() for side in self._sides)
        pairs = dict(_matched(self._overlaps(truth, prediction), least_iou))
        found = {p: iou for (_, p), iou in pairs.items()}
        partners = {t for t, _ in pairs}
        matched = [Found(prediction[p].area, prediction[p].box, iou) for p, iou in found.items()]
        invented = [each for root, each in prediction.items() if root not in found]
        missed = [each for root, each in truth.items() if root not in partners]
        counts = Confusion(len(matched), len(invented), len(missed))
        return ObjectErrors(counts, _sorted(matched), _sorted(invented), _sorted(missed))

    def _overlaps(
        self, truth: dict[int, Found], prediction: dict[int, Found]
    ) -> dict[tuple[int, int], float]:
        """Intersection over union of every pair that shares a pixel."""
        shared: Counter[tuple[int, int]] = Counter()
        for (one, other), count in self._shared.items():
            shared[self._sides[TRUTH].root(one), self._sides[PREDICTION].root(other)] += count
        return {
            (t, p): count / (truth[t].area + prediction[p].area - count)
            for (t, p), count in shared.items()
        }


def _matched(
    overlaps: dict[tuple[int, int], float], least: float
) -> Iterator[tuple[tuple[int, int], float]]:
    """The best assignment; each knot of objects that overlap is solved by itself."""
    good = {pair: iou for pair, iou in overlaps.items() if iou >= least}
    if not good:
        return
    rows, columns = (sorted({pair[side] for pair in good}) for side in (TRUTH, PREDICTION))
    at = [{root: i for i, root in enumerate(side)} for side in (rows, columns)]
    ends = np.array([(at[0][t], len(rows) + at[1][p]) for t, p in good])
    count = len(rows) + len(columns)
    graph = sparse.coo_array((np.ones(len(ends)), ends.T), shape=(count, count))
    knots = connected_components(graph, directed=False)[1]
    members: dict[int, list[tuple[int, int]]] = {}
    for pair, (row, _) in zip(good, ends, strict=True):
        members.setdefault(int(knots[row]), []).append(pair)
    for pairs in members.values():
        yield from _best_of(pairs, good)


def _best_of(
    pairs: list[tuple[int, int]], iou: dict[tuple[int, int], float]
) -> list[tuple[tuple[int, int], float]]:
    if len(pairs) == 1:
        return [(pairs[0], iou[pairs[0]])]
    rows, columns = (sorted({pair[side] for pair in pairs}) for side in (TRUTH, PREDICTION))
    table = np.zeros((len(rows), len(columns)))
    for t, p in pairs:
        table[rows.index(t), columns.index(p)] = iou[t, p]
    chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return [((rows[r], columns[c]), float(table[r, c])) for r, c in chosen if table[r, c] > 0]


def _sorted(found: Sequence[Found]) -> tuple[Found, ...]:
    return tuple(sorted(found, key=lambda each: (-each.area, each.box)))
