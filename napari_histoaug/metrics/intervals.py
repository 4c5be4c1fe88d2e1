"""How sure a mean is: bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from napari_histoaug.metrics.confusion import Confusion
from napari_histoaug.metrics.errors import MetricError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Interval:
    """A figure and the range in which resampling left it.

    Attributes
    ----------
    value : float
        Of all the data.
    low, high : float
        Percentile bootstrap interval (Efron 1979).
    groups : int
        Independent groups (patients) it rests on.
    """

    value: float
    low: float
    high: float
    groups: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    groups: Sequence[Sequence[Item]],
    figure: Callable[[list[Item]], float | None],
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Resample whole groups and compute `figure` of what they hold.

    Parameters
    ----------
    groups : sequence of sequences
        What belongs to one patient stays together: slides of one patient are not independent.
    figure : callable
        Maps the items of some groups to a number, or None where it is undefined.
    draws : int
        Resamples; undefined ones are left out.
    confidence : float
        Share of the resampled figures inside the interval.

    Returns
    -------
    Interval or None
        None where the figure of all the data is undefined.

    Raises
    ------
    MetricError
        When there is no group.
    """
    if not groups:
        raise MetricError("There is nothing to compute an interval of: no patient is left.")
    value = figure([item for group in groups for item in group])
    if value is None:
        return None
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = rng.integers(len(groups), size=len(groups))
        resampled = figure([item for index in drawn for item in groups[index]])
        if resampled is not None:
            found.append(resampled)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(found, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high), len(groups))


FIGURES = ("dice", "iou", "precision", "recall")


def pooled(counts: Sequence[Confusion], name: str) -> float | None:
    """Micro average: one of :data:`FIGURES` of the counts added up."""
    return getattr(sum(counts, Confusion()), _known(name))


def mean_over(counts: Sequence[Confusion], name: str) -> float | None:
    """Mean over slides of one of :data:`FIGURES`; slides where it is undefined are left out."""
    values = [v for c in counts if (v := getattr(c, _known(name))) is not None]
    return float(np.mean(values)) if values else None


def summary(
    by_patient: Mapping[str, Sequence[Confusion]], *, draws: int = 2000, seed: int = 0
) -> dict[str, dict[str, Interval | None]]:
    """Summarise slides' counts as ``{"pooled": {figure: Interval}, "per_slide": {...}}``.

    Parameters
    ----------
    by_patient : mapping of str to sequence of Confusion
        One entry a slide.
    """
    groups = [list(by_patient[name]) for name in sorted(by_patient)]

    def interval(
        of: Callable[[Sequence[Confusion], str], float | None], name: str
    ) -> Interval | None:
        return bootstrap(groups, lambda items: of(items, name), draws=draws, seed=seed)

    return {
        "pooled": {name: interval(pooled, name) for name in FIGURES},
        "per_slide": {name: interval(mean_over, name) for name in FIGURES},
    }


def _known(name: str) -> str:
    if name not in FIGURES:
        raise MetricError(f"There is no figure {name!r}; use one of {', '.join(FIGURES)}.")
    return name
