"""Cells of a study: the counts of one segmenter (recipe, ratio, seed) on one split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_histoaug.metrics import Confusion
from napari_histoaug.study.errors import StudyError

Split = Literal["validation", "test"]
Counts = dict[str, Confusion]
Arm = tuple[str, int]  # recipe, ratio in percent
CELLS, REAL = "cells", "real"
RECIPES = {  # in words; each adds to the one before
    REAL: "real tissue alone",
    "plain": "plain inpainting, as the thesis",
    "donor": "+ start from real vessels",
    "hard-negatives": "+ removals and untouched places as hard negatives",
    "selection": "+ selection",
}
PART = ".part"  # the folder of a stage that is not complete


class CurvePoint(BaseModel):
    """Counts of all cases together at one threshold."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    tp: int = Field(ge=0)
    fp: int = Field(ge=0)
    fn: int = Field(ge=0)

    @property
    def counts(self) -> Confusion:
        """The counts without the threshold."""
        return Confusion(self.tp, self.fp, self.fn)


class Cell(BaseModel):
    """What one segmenter scored on one split; counts are pixels unless said otherwise.

    Attributes
    ----------
    recipe : str
        How its synthetic pairs were made; "real" for none.
    ratio : int
        Synthetic pairs in percent of the real patches.
    seed : int
    split : str
        "validation" or "test".
    threshold : float, optional
        From which probability on a pixel is a vessel.
    cases, filtered : dict of str to Confusion
        Of each case, without and with the false-positive filter.
    fields, filtered_fields : dict of str to Confusion
        The same of each field of view, what a bootstrap draws from.
    objects : dict of str to Confusion
        Objects of each case.
    curve : tuple of CurvePoint
        Counts at several thresholds, unfiltered.
    """

    model_config = ConfigDict(frozen=True)

    recipe: str = Field(min_length=1)
    ratio: int = Field(ge=0)
    seed: int = Field(ge=0)
    split: Split
    threshold: float | None = None
    cases: Counts = Field(min_length=1)
    filtered: Counts = Field(default_factory=dict)
    fields: Counts = Field(default_factory=dict)
    filtered_fields: Counts = Field(default_factory=dict)
    objects: Counts = Field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()

    @property
    def arm(self) -> Arm:
        """Recipe and ratio: cells that differ in their seed only share it."""
        return self.recipe, self.ratio


def parse_cell(content: Any, source: str) -> Cell:
    """Check one cell's record.

    Parameters
    ----------
    content : Any
        As a ``scores-<split>.json`` holds it.
    source : str
        Where it is from, for the sentence.

    Raises
    ------
    StudyError
        When something is missing, or the fields do not add up to the cases.
    """
    try:
        cell = Cell.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise StudyError(
            f"{source} is not valid at {where}: {first['msg']}; delete it and run the study again."
        ) from None
    for name, parts, whole in (
        ("fields", cell.fields, cell.cases),
        ("filtered_fields", cell.filtered_fields, cell.filtered),
    ):
        if parts and total(parts.values()) != total(whole.values()):
            raise StudyError(
                f"The {name} of {source} do not add up to its cases; delete it and run the study "
                "again."
            )
    return cell


def read_cells(run: Path, split: Split) -> list[tuple[Cell, dict[str, Any]]]:
    """Read the scores of a split of all segmenters of a run, with their records, in order.

    Only the files of that split are opened.

    Raises
    ------
    StudyError
        When a file is damaged or belongs to another cell.
    """
    found = []
    for path in sorted((run / CELLS).glob(f"*/scores-{split}.json")):
        if path.parent.suffix == PART:
            continue
        source = f"{path.parent.name}/{path.name}"
        try:
            record = json.loads(path.read_text("utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise StudyError(
                f"{source} cannot be read ({error}); delete it and run the study again."
            ) from None
        cell = parse_cell(record, source)
        if (cell.split, name_of(cell)) != (split, path.parent.name):
            raise StudyError(
                f"{source} holds the {cell.split} scores of {name_of(cell)}; delete it and run "
                "the study again."
            )
        found.append((cell, record))
    return sorted(found, key=lambda pair: (*pair[0].arm, pair[0].seed))


def name_of(cell: Cell) -> str:
    """The folder of a cell: ``<recipe>-<ratio>-<seed>``."""
    return f"{cell.recipe}-{cell.ratio}-{cell.seed}"


def by_arm(cells: Iterable[Cell], split: Split) -> dict[Arm, tuple[Cell, ...]]:
    """Group the cells of a split by recipe and ratio, ordered by seed."""
    found: dict[Arm, list[Cell]] = {}
    for cell in cells:
        if cell.split == split:
            found.setdefault(cell.arm, []).append(cell)
    return {arm: tuple(sorted(of, key=lambda cell: cell.seed)) for arm, of in found.items()}


def in_order(recipes: Iterable[str]) -> list[str]:
    """Recipes as each adds to the one before, then others by name."""
    known = list(RECIPES)
    return sorted(recipes, key=lambda r: (known.index(r) if r in RECIPES else len(known), r))


def total(counts: Iterable[Confusion]) -> Confusion:
    """Counts added up."""
    return sum(counts, Confusion())


def seeds_of(cells: Sequence[Cell]) -> list[int]:
    """The seeds that occur, in order."""
    return sorted({cell.seed for cell in cells})
