"""Counting right and wrong pixels, and what follows from the counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_histoaug.metrics.errors import MetricError

Mask = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels, or of objects; no figure here needs true negatives.

    Counts add up over blocks and slides: ``sum(parts, Confusion())``.

    Attributes
    ----------
    tp, fp, fn : int
        True positives, false positives, false negatives.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def dice(self) -> float | None:
        """``2 tp / (2 tp + fp + fn)``; None where truth and prediction are both empty."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float | None:
        """``tp / (tp + fp + fn)``; None where truth and prediction are both empty."""
        return _share(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float | None:
        """``tp / (tp + fp)``; None where nothing was predicted."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """``tp / (tp + fn)``; None where the truth is empty."""
        return _share(self.tp, self.tp + self.fn)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def confusion(truth: Mask, prediction: Mask, valid: Mask | None = None) -> Confusion:
    """Count true positives, false positives and false negatives.

    Parameters
    ----------
    truth, prediction : bool or integer, (H, W) or any equal shape
        Everything but 0 (False) is positive.
    valid : bool, of the same shape, optional
        False where neither answer counts, for instance where nobody annotated. Pixels that are not
        annotated are not negative by themselves.

    Returns
    -------
    Confusion
        In Python integers, which do not overflow.

    Raises
    ------
    MetricError
        When the shapes differ or a mask is neither boolean nor integer.
    """
    t, p = _positive(truth, "truth"), _positive(prediction, "prediction")
    if t.shape != p.shape:
        raise MetricError(
            f"The truth is {t.shape} and the prediction {p.shape}; bring both to one grid."
        )
    if valid is not None:
        v = _positive(valid, "valid mask")
        if v.shape != t.shape:
            raise MetricError(f"The valid mask is {v.shape}, the truth {t.shape}; they must agree.")
        t, p = t & v, p & v
    both = int(np.count_nonzero(t & p))
    return Confusion(both, int(np.count_nonzero(p)) - both, int(np.count_nonzero(t)) - both)


def cohen_kappa(counts: Confusion, total: int) -> float | None:
    """Agreement of two annotators beyond chance, Cohen's kappa for two classes.

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20, 1960.

    Parameters
    ----------
    counts : Confusion
        Of the pixels of one annotator against the other.
    total : int
        All pixels that both looked at, those of neither included.

    Returns
    -------
    float or None
        1 for perfect agreement, 0 for chance; None when both gave one and the same answer to
        every pixel.

    Raises
    ------
    MetricError
        When there are fewer pixels in all than counted ones.
    """
    neither = total - counts.tp - counts.fp - counts.fn
    if neither < 0:
        raise MetricError(f"{total} pixels in all are fewer than were counted; give all of them.")
    agreed = (counts.tp + neither) * total
    first, second = counts.tp + counts.fn, counts.tp + counts.fp
    by_chance = first * second + (total - first) * (total - second)
    return (agreed - by_chance) / (total**2 - by_chance) if total**2 != by_chance else None


def confusion_by_class(
    truth: Mask, prediction: Mask, classes: Iterable[int], valid: Mask | None = None
) -> dict[int, Confusion]:
    """Return the counts of each label value of `classes` against all others.

    Parameters
    ----------
    truth, prediction : integer, (H, W)
        Label masks.
    classes : iterable of int
        Label values to count.
    valid : bool, (H, W), optional
        As for :func:`confusion`.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    return {value: confusion(t == value, p == value, valid) for value in classes}


def _positive(mask: Mask, name: str) -> npt.NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
        raise MetricError(
            f"The {name} holds {array.dtype} values; a mask has whole numbers (0 = nothing)."
        )
    positive: npt.NDArray[np.bool_] = array != 0
    return positive
