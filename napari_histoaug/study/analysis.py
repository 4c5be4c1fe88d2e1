"""What lies behind the answer, in sentences made from the counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_histoaug.study.cells import REAL, Arm, Cell, by_arm, total
from napari_histoaug.study.statistics import (
    FIGURES,
    Spread,
    area_under_curve,
    difference,
    over_seeds,
)

WITHIN = "within what the seeds alone do"


def analysis(cells: Sequence[Cell], arm: Arm, *, draws: int = 2000) -> list[str]:
    """Say where `arm` differs from real tissue alone on the test cases.

    Returns
    -------
    list of str
        Sentences; those whose counts are not there are left out.
    """
    test, validation = by_arm(cells, "test"), by_arm(cells, "validation")
    ours, real = test.get(arm, ()), test.get((REAL, 0), ())
    if not ours or not real:
        return []
    found = [
        _fields(ours, real),
        _cases(ours, real),
        _ranking(ours, real),
        _threshold(ours, real),
        _seeds(ours, real),
        _choice(validation.get(arm, ()), validation.get((REAL, 0), ()), ours, real, draws),
    ]
    return [sentence for sentence in found if sentence]


def field_changes(ours: Sequence[Cell], real: Sequence[Cell]) -> dict[str, float]:
    """Dice of each field, mean over the seeds, minus that of real tissue alone, where defined."""
    changes = {}
    for name in ours[0].fields:
        means = []
        for arm in (ours, real):
            dice = [c.fields[name].dice for c in arm if name in c.fields]
            means.append([d for d in dice if d is not None])
        if all(means):
            changes[name] = float(np.mean(means[0]) - np.mean(means[1]))
    return changes


def _fields(ours: Sequence[Cell], real: Sequence[Cell]) -> str:
    changes = field_changes(ours, real)
    if not changes:
        return ""
    rose = sum(change > 0 for change in changes.values())
    fell = sum(change < 0 for change in changes.values())
    middle = float(np.median(list(changes.values())))
    return (
        f"Field by field, Dice rose in {rose} and fell in {fell} of {len(changes)} fields that "
        f"hold vessels or false alarms; the change in the middle is {middle:+.3f}."
    )


def _cases(ours: Sequence[Cell], real: Sequence[Cell]) -> str:
    parts = []
    for case in sorted(ours[0].cases):
        both = [over_seeds(of, "dice", "cases", case) for of in (ours, real)]
        if both[0] and both[1]:
            parts.append(f"{case} {_change(both[0], both[1])}")
    return f"Dice by case: {'; '.join(parts)}." if parts else ""


def _ranking(ours: Sequence[Cell], real: Sequence[Cell]) -> str:
    after, before = area_under_curve(ours), area_under_curve(real)
    if after is None or before is None:
        return ""
    return (
        "The area under the precision-recall curve, which no choice of threshold moves, changed "
        f"by {_change(after, before)}."
    )


def _threshold(ours: Sequence[Cell], real: Sequence[Cell]) -> str:
    of = [[c.threshold for c in arm if c.threshold is not None] for arm in (ours, real)]
    if not all(of):
        return ""
    told = [", ".join(f"{t:.3g}" for t in each) for each in of]
    return f"Thresholds chosen on validation: {told[0]}; for real tissue alone {told[1]}."


def _seeds(ours: Sequence[Cell], real: Sequence[Cell]) -> str:
    """Changes within each seed, whose cells may share a start; the verdict does not pair them."""
    before = {cell.seed: cell for cell in real}
    pairs = [(cell, before[cell.seed]) for cell in ours if cell.seed in before]
    parts = []
    for figure in FIGURES:
        values = [[getattr(total(c.cases.values()), figure) for c in pair] for pair in pairs]
        if values and all(v is not None for pair in values for v in pair):
            changes = ", ".join(f"{after - ahead:+.3f}" for after, ahead in values)
            parts.append(f"{figure} {changes}")
    if not parts:
        return ""
    return (
        f"Seed by seed: {'; '.join(parts)}. Cells of a seed go on from one start where the study "
        "has shared ones, so seeds differ by more than the cells of each; what rose or fell above "
        "is judged without pairing them."
    )


def _choice(
    ours_before: Sequence[Cell],
    real_before: Sequence[Cell],
    ours: Sequence[Cell],
    real: Sequence[Cell],
    draws: int,
) -> str:
    before = difference(ours_before, real_before, "dice", draws=draws)
    after = difference(ours, real, "dice", draws=draws)
    if before is None or after is None:
        return ""
    return (
        f"On validation, where it was chosen, Dice changed by {before}; on test by {after}. The "
        "best of several arms looks better where it was chosen than it is."
    )


def _change(after: Spread, before: Spread) -> str:
    value = after.mean - before.mean
    text = f"{value:+.3f} ({before} to {after}"
    if after.deviation is None or before.deviation is None:
        return f"{text})"
    small = abs(value) <= float(np.hypot(after.deviation, before.deviation))
    return f"{text}{f', {WITHIN}' if small else ''})"
