"""The whole slides that a study starts from: the table of them, and whom each is from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from napari_histoaug.learning.config import Section
from napari_histoaug.patches.jobs import SlideJob, slides_of_table
from napari_histoaug.study.errors import StudyError

SETS = ("train", "validation", "test")
# The corner stands behind "_x" in the name of a field.
_CASE = re.compile(r"(?!.*_x)[A-Za-z0-9][A-Za-z0-9._-]*")


class SlidesConfig(Section):
    """Whole slides that the fields are cut from, in place of `tissue`'s own."""

    table: Path = Field(
        description="CSV: slide, patient; if wanted split, case, annotations, mpp, frame"
    )
    annotations: Path | None = Field(None, description="folder of outlines; beside the slides")
    side: int = Field(1024, ge=64, le=4096, description="of a field, pixels of tissue.mpp")
    empty_share: float = Field(0.2, ge=0, lt=1, description="of fields without a vessel")
    tissue_percent: int = Field(50, ge=0, le=100, description="least tissue in those, %")
    region: str | None = Field(
        None, description="class of outlines around what was looked at, e.g. Region*; all if none"
    )
    most: int | None = Field(None, ge=1, description="fields a slide, drawn; all if none")
    skip_bad: bool = Field(False, description="leave out broken features of annotations")
    shares: dict[Literal["train", "validation", "test"], float] = Field(
        {"train": 0.6, "validation": 0.2, "test": 0.2},
        description="of the sets, for patients that the table puts into none",
    )
    seed: int = Field(0, ge=0, description="of fields that are drawn, and of patients alike")


class ListedSlide(NamedTuple):
    """A slide of the table.

    Attributes
    ----------
    number : int
        Its place in the table, from 1.
    job : SlideJob
    case : str
        What its patient is called in everything that is written.
    nth : int
        How many slides of the patient stand before it.
    """

    number: int
    job: SlideJob
    case: str
    nth: int

    @property
    def line(self) -> int:
        """Its line in the table, whose first line names the columns."""
        return self.number + 1


def listed_slides(config: SlidesConfig) -> list[ListedSlide]:
    """Read the table.

    Raises
    ------
    PatchError
        When it cannot be read.
    StudyError
        When it does not say whom a slide is from, puts a patient into two sets, or gives two
        patients one name.
    """
    jobs = slides_of_table(config.table, config.annotations)
    if not jobs:
        raise StudyError(f"{config.table} lists no slide; write a line for each.")
    patients = [_patient(job, line, config.table) for line, job in enumerate(jobs, 2)]
    _check_sets(jobs, patients, config.table)
    cases = _cases(jobs, patients, config.table)
    return [
        ListedSlide(i + 1, job, cases[patient], patients[:i].count(patient))
        for i, (job, patient) in enumerate(zip(jobs, patients, strict=True))
    ]


def _patient(job: SlideJob, line: int, table: Path) -> str:
    patient = (job.patient or "").strip()
    if not patient:
        raise StudyError(
            f"Line {line} of {table.name} names no patient, so nobody can tell which slides must "
            "stay together; fill in the column patient."
        )
    if job.split is not None and job.split not in SETS:
        raise StudyError(
            f"Line {line} of {table.name} puts its slide into {job.split!r}; the sets are "
            f"{', '.join(SETS)}."
        )
    return patient


def _check_sets(jobs: list[SlideJob], patients: list[str], table: Path) -> None:
    """Refuse a patient in two sets."""
    first: dict[str, tuple[int, str]] = {}
    for line, (job, patient) in enumerate(zip(jobs, patients, strict=True), 2):
        if job.split is not None:
            before, split = first.setdefault(patient, (line, job.split))
            if split != job.split:
                raise StudyError(
                    f"Lines {before} and {line} of {table.name} put one patient into {split} and "
                    f"{job.split}; all slides of a patient belong into one set."
                )


def _cases(jobs: list[SlideJob], patients: list[str], table: Path) -> dict[str, str]:
    """Give every patient a name: the table's pseudonym, or a number by first appearance."""
    cases: dict[str, str] = {}
    for line, (job, patient) in enumerate(zip(jobs, patients, strict=True), 2):
        if job.case is None:
            continue
        if not _CASE.fullmatch(job.case):
            raise StudyError(
                f"Line {line} of {table.name} has the case {job.case!r}; use letters, digits, "
                "'-', '.' and '_', but no '_x'."
            )
        if cases.setdefault(patient, job.case) != job.case:
            raise StudyError(
                f"Line {line} of {table.name} calls a patient {job.case} who is "
                f"{cases[patient]} further up; give each patient one case."
            )
    for number, patient in enumerate(dict.fromkeys(patients), 1):
        cases.setdefault(patient, f"case-{number:03d}")
    names = list(cases.values())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StudyError(
            f"{table.name} calls two patients {twice[0]}; give each a case of its own."
        )
    return cases
