"""Which recipe and ratio to believe in, decided on validation cases alone.

The rule, fixed before any score was seen: of all arms with synthetic pairs and with as many seeds
as the best covered of them, the one whose Dice is highest: pixels of all validation cases added up,
without the false-positive filter (which was taught on those cases), mean over the seeds. Of equals
the one with fewer synthetic pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.cells import CELLS, REAL, Arm, Cell, by_arm, read_cells
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.statistics import Spread, over_seeds

CHOSEN = "chosen.json"


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes
    ----------
    recipe : str
    ratio : int
        Percent.
    why : str
        A sentence.
    validation : dict of str to dict
        Dice of every arm looked at: mean, deviation, values of the seeds.
    """

    recipe: str
    ratio: int
    why: str
    validation: dict[str, Any]


def choose(cells: Iterable[Cell], ratio: int | None = None) -> Choice:
    """Apply the rule of this module.

    Parameters
    ----------
    cells : iterable of Cell
        Validation scores.
    ratio : int, optional
        Only among arms of this ratio.

    Raises
    ------
    StudyError
        When a test score is among them, or there is nothing to choose from.
    """
    cells = list(cells)
    if any(cell.split != "validation" for cell in cells):
        raise StudyError("A recipe is chosen on validation scores only; leave test scores out.")
    dice = {
        arm: found
        for arm, of in by_arm(cells, "validation").items()
        if (found := over_seeds(of, "dice")) is not None
    }
    candidates = {
        arm: value
        for arm, value in dice.items()
        if arm[0] != REAL and arm[1] > 0 and ratio in (None, arm[1])
    }
    if not candidates:
        at = "" if ratio is None else f" at {ratio} %"
        raise StudyError(
            f"No segmenter taught with synthetic pairs{at} has validation scores yet; run those "
            "cells first."
        )
    seeds = max(len(value.values) for value in candidates.values())
    whole = {arm: value for arm, value in candidates.items() if len(value.values) == seeds}
    best = min(whole, key=lambda arm: (-whole[arm].mean, arm[1], arm[0]))
    why = _why(best, whole, len(candidates) - len(whole), dice.get((REAL, 0)))
    return Choice(*best, why, {f"{r}-{n}": asdict(v) for (r, n), v in sorted(dice.items())})


def _why(best: Arm, whole: dict[Arm, Spread], left_out: int, real: Spread | None) -> str:
    seeds = len(whole[best].values)
    text = (
        f"Highest validation Dice, {whole[best]}, mean over {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'}, of {len(whole)} "
        f"{'arm' if len(whole) == 1 else 'arms'} with synthetic pairs"
    )
    if real is not None:
        text += f"; real tissue alone has {real}"
    if left_out:
        text += f"; {left_out} with fewer seeds {'was' if left_out == 1 else 'were'} not considered"
    return text + "."


def choose_recipe(run: Path, ratio: int = 100) -> Choice:
    """Apply the rule to the validation scores of a run, among arms of one ratio."""
    return choose((cell for cell, _ in read_cells(run, "validation")), ratio)


def write_choice(run: Path) -> Path:
    """Apply the rule to all validation scores of a run and write ``chosen.json``.

    Raises
    ------
    StudyError
        When test cases were already scored and the choice would be another one: a choice made
        after looking is none.
    """
    choice = choose(cell for cell, _ in read_cells(run, "validation"))
    path = run / CHOSEN
    if any((run / CELLS).glob("*/scores-test.json")):
        before = read_json(path) if path.exists() else {}
        if (before.get("recipe"), before.get("ratio")) != (choice.recipe, choice.ratio):
            raise StudyError(
                f"The test cases of {run} were scored before this choice "
                f"({choice.recipe}, {choice.ratio} %) was made; start again in another folder, or "
                "keep what was chosen then."
            )
    write_json(path, asdict(choice))
    return path
