"""The plain sentence: did synthetic pairs help, and how sure is that?

- **helped**: Dice and recall rose, precision did not fall;
- **helped in part**: Dice rose, but recall did not, or precision fell;
- **did not help**: Dice fell, or a gain of :data:`LEAST_GAIN` lies above its interval;
- **cannot tell**: anything else.

*Rose* and *fell* mean: beyond the 95 % interval over fields, and by more than the seeds alone make
such a difference vary (:class:`~napari_histoaug.study.statistics.Difference`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from napari_histoaug.study.cells import REAL, Arm, Cell, Split, by_arm
from napari_histoaug.study.statistics import (
    FIGURES,
    Difference,
    Fields,
    Of,
    difference,
    over_seeds,
)

LEAST_GAIN = 0.01  # Dice that would be worth having
Answer = Literal["helped", "helped in part", "did not help", "cannot tell"]
OPENING: dict[Answer, str] = {
    "helped": "Augmentation helped",
    "helped in part": "Augmentation helped in part",
    "did not help": "Augmentation did not help",
    "cannot tell": "This run cannot tell whether augmentation helps",
}


@dataclass(frozen=True)
class Verdict:
    """The answer, the sentence that gives it, and what it rests on.

    Attributes
    ----------
    answer : str
    sentence : str
    basis : str
        What its brackets and its ± are.
    differences : dict of str to Difference
        Of each figure, to real tissue alone; empty where it cannot be computed.
    """

    answer: Answer
    sentence: str
    basis: str
    differences: dict[str, Difference]


def judge(
    cells: Iterable[Cell],
    arm: Arm,
    split: Split = "test",
    of: Fields = "fields",
    *,
    draws: int = 2000,
) -> Verdict:
    """Compare an arm with real tissue alone, and say it in a sentence.

    Parameters
    ----------
    cells : iterable of Cell
    arm : (recipe, ratio)
        Chosen on validation.
    split : str
    of : str
        "fields", or "filtered_fields" for predictions after the false-positive filter.
    """
    arms = by_arm(cells, split)
    ours, real = arms.get(arm, ()), arms.get((REAL, 0), ())
    found = {name: difference(ours, real, name, of, draws=draws) for name in FIGURES}
    known = {name: value for name, value in found.items() if value is not None}
    if len(known) < len(FIGURES):
        text = (
            f"{OPENING['cannot tell']}: the {split} counts by field of {arm[0]} at {arm[1]} %, or "
            "of real tissue alone, are not there."
        )
        return Verdict("cannot tell", text, "", known)
    answer = decide(known)
    sentence = _sentence(answer, arm, split, of, ours, real, known)
    return Verdict(answer, sentence, _basis(ours, real, of), known)


def decide(differences: dict[str, Difference]) -> Answer:
    """Apply the rule of this module to the differences of Dice, precision and recall."""
    dice, precision, recall = (differences[name] for name in FIGURES)
    if dice.rose:
        return "helped" if recall.rose and not precision.fell else "helped in part"
    if dice.fell or dice.interval.high < LEAST_GAIN:
        return "did not help"
    return "cannot tell"


def _sentence(
    answer: Answer,
    arm: Arm,
    split: str,
    of: Fields,
    ours: Sequence[Cell],
    real: Sequence[Cell],
    differences: dict[str, Difference],
) -> str:
    counts: Of = "cases" if of == "fields" else "filtered"
    parts = [
        f"{name.capitalize() if name == 'dice' else name} {_moved(value)} "
        f"({over_seeds(real, name, counts)} to {over_seeds(ours, name, counts)})"
        for name, value in differences.items()
    ]
    return (
        f"{OPENING[answer]}: with {arm[1]} % synthetic pairs made by “{arm[0]}”, on the {split} "
        f"cases {', '.join(parts[:-1])} and {parts[-1]}."
    )


def _basis(ours: Sequence[Cell], real: Sequence[Cell], of: Fields) -> str:
    fields, cases = len(getattr(real[0], of)), len(real[0].cases)
    return (
        f"Brackets are 95 % intervals over {fields} fields of {cases} "
        f"{'case' if cases == 1 else 'cases'}, ± is the standard deviation over "
        f"{min(len(ours), len(real))} seeds; neither says how other patients would differ."
    )


def _moved(value: Difference) -> str:
    if value.rose:
        return f"rose by {value.interval.value:.3f} {_bounds(value)}"
    if value.fell:
        return f"fell by {-value.interval.value:.3f} {_bounds(value)}"
    return f"changed by {value}, {unsure(value)}"


def unsure(value: Difference) -> str:
    """Why a difference neither rose nor fell."""
    if value.interval.low <= 0 <= value.interval.high:
        return "which is not told apart from nothing"
    if math.isinf(value.spread):
        return "from too few seeds to tell"
    return "which the seeds alone can do"


def _bounds(value: Difference) -> str:
    return f"[{value.interval.low:+.3f}, {value.interval.high:+.3f}]"
