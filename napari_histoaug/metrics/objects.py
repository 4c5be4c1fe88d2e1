"""Right and wrong objects: connected areas of truth and prediction matched by their overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from napari_histoaug.metrics.confusion import Confusion
from napari_histoaug.metrics.errors import MetricError

Mask = npt.NDArray[np.generic]
EIGHT = np.ones((3, 3), int)  # pixels that touch at a corner belong together


@dataclass(frozen=True)
class Matching:
    """Which objects of the truth were found.

    Attributes
    ----------
    pairs : tuple of (int, int, float)
        Label in the truth, label in the prediction, their intersection over union.
    missed, invented : tuple of int
        Labels of the truth and of the prediction that have no partner.
    """

    pairs: tuple[tuple[int, int, float], ...]
    missed: tuple[int, ...]
    invented: tuple[int, ...]

    @property
    def counts(self) -> Confusion:
        """Matched, invented and missed objects."""
        return Confusion(len(self.pairs), len(self.invented), len(self.missed))


def label_objects(mask: Mask) -> npt.NDArray[np.int32]:
    """Number the connected areas (8-neighbourhood) of a mask (H, W) from 1; 0 is background."""
    return np.asarray(ndimage.label(np.asarray(mask) != 0, EIGHT)[0], np.int32)


def match_objects(truth: Mask, prediction: Mask, least_iou: float = 0.5) -> Matching:
    """Match numbered objects one to one so that the sum of intersections over union is largest.

    Parameters
    ----------
    truth, prediction : int, (H, W)
        Numbered objects, 0 = background (see :func:`label_objects`).
    least_iou : float
        A pair overlapping less is none. At 0.5 and above no object has two possible partners.

    Raises
    ------
    MetricError
        When the shapes differ.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape:
        raise MetricError(
            f"The truth is {t.shape} and the prediction {p.shape}; bring both to one grid."
        )
    in_truth, in_prediction = _numbers(t), _numbers(p)
    iou = _overlaps(t, p, in_truth, in_prediction)
    rows, columns = linear_sum_assignment(np.where(iou >= least_iou, iou, 0), maximize=True)
    kept = [(r, c) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= max(least_iou, 1e-9)]
    found, used = {r for r, _ in kept}, {c for _, c in kept}
    return Matching(
        tuple((int(in_truth[r]), int(in_prediction[c]), float(iou[r, c])) for r, c in kept),
        tuple(int(n) for i, n in enumerate(in_truth) if i not in found),
        tuple(int(n) for i, n in enumerate(in_prediction) if i not in used),
    )


def _numbers(labels: Mask) -> npt.NDArray[np.generic]:
    numbers = np.unique(labels)
    return numbers[numbers != 0]


def _overlaps(
    truth: Mask,
    prediction: Mask,
    in_truth: npt.NDArray[np.generic],
    in_prediction: npt.NDArray[np.generic],
) -> npt.NDArray[np.float64]:
    """Intersection over union of every object with every other."""
    # Label numbers may have gaps; 0 stays in front so that a table holds the background, too.
    t = np.searchsorted(in_truth, truth) + 1
    p = np.searchsorted(in_prediction, prediction) + 1
    t[truth == 0] = 0
    p[prediction == 0] = 0
    columns = len(in_prediction) + 1
    table = np.bincount(
        (t.astype(np.int64) * columns + p).ravel(), minlength=(len(in_truth) + 1) * columns
    ).reshape(-1, columns)
    union = table[1:].sum(1)[:, None] + table[:, 1:].sum(0)[None] - table[1:, 1:]
    return np.asarray(table[1:, 1:] / np.maximum(union, 1), np.float64)
