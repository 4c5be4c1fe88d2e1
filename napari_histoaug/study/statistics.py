"""From counts to figures: means over seeds, differences with intervals, precision and recall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_histoaug.metrics import Confusion, Interval, bootstrap, pooled
from napari_histoaug.study.cells import Cell, total
from napari_histoaug.study.errors import StudyError

FIGURES = ("dice", "precision", "recall")
Of = Literal["cases", "filtered", "objects"]
Fields = Literal["fields", "filtered_fields"]


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds of one arm.

    Attributes
    ----------
    mean : float
    deviation : float or None
        Sample standard deviation (N - 1); None for a single seed.
    values : tuple of float
        Of each seed.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    def __str__(self) -> str:
        if self.deviation is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None of nothing."""
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, tuple(values))


def over_seeds(
    cells: Sequence[Cell], figure: str, of: Of = "cases", case: str | None = None
) -> Spread | None:
    """One of :data:`FIGURES` of each seed's counts added up over the cases.

    Parameters
    ----------
    cells : sequence of Cell
        The seeds of one arm on one split.
    of : str
        Which counts: "cases", "filtered" or "objects".
    case : str, optional
        Only this case's.

    Returns
    -------
    Spread or None
        Seeds for which the figure is undefined are left out; None when all are.
    """
    values = []
    for cell in cells:
        counts = getattr(cell, of)
        chosen = list(counts.values()) if case is None else [counts.get(case, Confusion())]
        if (value := pooled(chosen, figure)) is not None:
            values.append(value)
    return spread(values)


@dataclass(frozen=True)
class Difference:
    """How much an arm's figure lies above that of another.

    Attributes
    ----------
    interval : Interval
        Mean over seeds minus mean over seeds, with the 95 % interval of a paired bootstrap over
        fields: both arms see the same resampled fields.
    spread : float
        What the seeds alone do to such a difference: the root of the sum of both arms' squared
        standard deviations over seeds. Infinite where an arm has one seed.
    """

    interval: Interval
    spread: float

    @property
    def rose(self) -> bool:
        """Above 0 beyond the interval and beyond the seeds' spread."""
        return self.interval.low > 0 and self.interval.value > self.spread

    @property
    def fell(self) -> bool:
        """Below 0 beyond the interval and beyond the seeds' spread."""
        return self.interval.high < 0 and -self.interval.value > self.spread

    def __str__(self) -> str:
        i = self.interval
        return f"{i.value:+.3f} [{i.low:+.3f}, {i.high:+.3f}]"


def difference(
    ours: Sequence[Cell],
    baseline: Sequence[Cell],
    figure: str,
    of: Fields = "fields",
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Difference | None:
    """Compare two arms on the same fields.

    Parameters
    ----------
    ours, baseline : sequence of Cell
        The seeds of each arm, of one split.
    figure : str
        One of :data:`FIGURES`, of the counts added up over the (resampled) fields.
    of : str
        "fields", or "filtered_fields" with the false-positive filter.

    Returns
    -------
    Difference or None
        None where an arm has no counts of fields, or an undefined figure.

    Raises
    ------
    StudyError
        When the cells do not hold the same fields.
    """
    cells = [*ours, *baseline]
    if not ours or not baseline or not all(getattr(cell, of) for cell in cells):
        return None
    table = _by_field(cells, of)
    arms = np.arange(len(cells)) < len(ours)

    def gap(items: list[npt.NDArray[np.int64]]) -> float | None:
        values = [_figure(counts, figure) for counts in np.sum(items, axis=0)]
        if any(value is None for value in values):
            return None
        each = np.array(values, float)
        return float(each[arms].mean() - each[~arms].mean())

    found = bootstrap([[row] for row in table], gap, draws=draws, seed=seed)
    if found is None:
        return None
    return Difference(found, _seed_spread(ours, baseline, figure, of))


def _by_field(cells: Sequence[Cell], of: Fields) -> npt.NDArray[np.int64]:
    """Counts (fields, cells, 3)."""
    names = sorted(getattr(cells[0], of))
    for cell in cells:
        if sorted(getattr(cell, of)) != names:
            raise StudyError(
                f"The segmenters {cells[0].recipe}-{cells[0].ratio} and {cell.recipe}-{cell.ratio} "
                f"were judged on different fields of {cell.split}; delete their scores and run "
                "the study again."
            )
    counts = [[getattr(cell, of)[name] for cell in cells] for name in names]
    return np.array([[(c.tp, c.fp, c.fn) for c in row] for row in counts], np.int64)


def _figure(counts: npt.NDArray[np.int64], figure: str) -> float | None:
    return pooled([Confusion(*(int(n) for n in counts))], figure)


def _seed_spread(ours: Sequence[Cell], baseline: Sequence[Cell], figure: str, of: Fields) -> float:
    both = 0.0
    for arm in (ours, baseline):
        values = [pooled(list(getattr(cell, of).values()), figure) for cell in arm]
        if len(values) < 2:
            return math.inf
        both += float(np.var([v for v in values if v is not None], ddof=1))
    return math.sqrt(both)


@dataclass(frozen=True)
class CurveValue:
    """Precision and recall at a threshold."""

    threshold: float
    precision: float
    recall: float


def curve(cell: Cell) -> list[CurveValue]:
    """Precision against recall of one segmenter, from strict to lenient.

    Thresholds at which nothing is found have no precision and are left out.
    """
    found = []
    for point in sorted(cell.curve, key=lambda point: -point.threshold):
        counts = point.counts
        if counts.precision is not None and counts.recall is not None:
            found.append(CurveValue(point.threshold, counts.precision, counts.recall))
    return found


def area_of_guessing(cells: Sequence[Cell]) -> float | None:
    """Area under the curve of who knows nothing: the share of vessel pixels among those counted.

    None where no segmenter has counts at a threshold of 0, which takes every pixel.
    """
    everything = [p.counts for c in cells for p in c.curve if p.threshold == 0]
    return total(everything).precision


def area_under_curve(cells: Sequence[Cell]) -> Spread | None:
    """Average precision of each seed: the sum of ``(R_i - R_(i-1)) P_i`` over the thresholds.

    Steps, not trapezoids: between two thresholds precision is not linear in recall, and straight
    lines flatter (Davis and Goadrich 2006).
    """
    found = []
    for cell in cells:
        points, area, before = curve(cell), 0.0, 0.0
        for point in points:
            area += (point.recall - before) * point.precision
            before = point.recall
        if points:
            found.append(area)
    return spread(found)
