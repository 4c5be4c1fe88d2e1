"""How well vessels were found on a set of slides, with intervals over patients."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.evaluation.config import SegmentationEvaluation
from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.evaluation.page import MISSING, Table
from napari_histoaug.metrics import FIGURES, Confusion, Interval, summary
from napari_histoaug.patches.jobs import SlideJob, list_slides
from napari_histoaug.segmentation import Comparison, compare, open_pair
from napari_histoaug.slides import open_slide

Say = Callable[[str], None]
COLUMNS = ("truth", "prediction", "patient")
WAYS = {"pooled": "all pixels or objects pooled", "per_slide": "mean over slides"}


@dataclass(frozen=True)
class Case:
    """One slide to judge; `name` is for the screen, `source` for files."""

    name: str
    source: str
    patient: str
    truth: Path
    prediction: Path
    slide: SlideJob | None = None


@dataclass(frozen=True)
class Judged:
    """Figures of a set of slides, for JSON and for people."""

    figures: dict[str, Any]
    tables: list[Table]
    notes: list[str]
    failed: int


def judge_segmentation(config: SegmentationEvaluation, say: Say) -> Judged:
    """Compare every slide's prediction with its truth.

    Raises
    ------
    EvaluationError
        When no slide could be compared. One that could not is told and left out.
    """
    found: dict[str, tuple[Case, Comparison]] = {}
    notes: list[str] = []
    cases = list(_cases(config))
    for number, case in enumerate(cases, 1):
        try:
            comparison = _compared(case, config)
        except (HistoaugError, OSError) as error:
            say(f"{number}/{len(cases)} {case.name}: left out, {error}")
            continue
        found[case.source] = case, comparison
        notes += [f"{case.source}: {note}" for note in comparison.notes]
        say(f"{number}/{len(cases)} {case.name}: {comparison.known:,} pixels compared")
    if not found:
        raise EvaluationError("No slide could be compared; see the lines above.")
    failed = len(cases) - len(found)
    if failed:
        notes.append(f"{failed} of {len(cases)} slides could not be compared and are left out.")
    if all(case.patient == case.source for case, _ in found.values()):
        notes.append("No patient is named: every slide counts as a patient of its own.")
    return _judged(found, notes, failed, config)


def _judged(
    found: dict[str, tuple[Case, Comparison]],
    notes: list[str],
    failed: int,
    config: SegmentationEvaluation,
) -> Judged:
    classes = next(iter(found.values()))[1].pixels
    figures: dict[str, Any] = {"slides": {}, "classes": {}}
    rows = []
    for name in classes:
        figures["classes"][name] = {}
        for kind in ("pixels", "objects"):
            by_patient: dict[str, list[Confusion]] = {}
            for case, comparison in found.values():
                by_patient.setdefault(case.patient, []).append(_counts(comparison, name, kind))
            all_of_it = summary(by_patient, draws=config.draws, seed=config.seed)
            figures["classes"][name][kind] = {
                way: {f: asdict(i) if i else None for f, i in values.items()}
                for way, values in all_of_it.items()
            }
            for way, values in all_of_it.items():
                rows.append([name, kind, WAYS[way], *(_shown(values[f]) for f in FIGURES)])
    for source, (_, comparison) in found.items():
        figures["slides"][source] = {
            "known_pixels": comparison.known,
            "grid_mpp": comparison.grid.mpp,
            **{
                kind: {name: asdict(_counts(comparison, name, kind)) for name in classes}
                for kind in ("pixels", "objects")
            },
        }
    patients = len({case.patient for case, _ in found.values()})
    title = (
        f"{config.split}: {len(found)} slides of {patients} patients, 95 % bootstrap intervals "
        f"over patients, objects from IoU {config.least_iou:g}"
    )
    head = ("class", "of", "average", *FIGURES)
    return Judged(figures, [Table(title, head, rows), _slide_table(found)], notes, failed)


def _slide_table(found: dict[str, tuple[Case, Comparison]]) -> Table:
    rows = []
    for source, (_, comparison) in found.items():
        for name, c in comparison.pixels.items():
            figures = [getattr(c, f) for f in FIGURES]
            shown = [MISSING if value is None else f"{value:.3f}" for value in figures]
            rows.append([source, name, f"{c.tp:,}", f"{c.fp:,}", f"{c.fn:,}", *shown])
    return Table("slides, pixels", ("slide", "class", "TP", "FP", "FN", *FIGURES), rows)


def _counts(comparison: Comparison, name: str, kind: str) -> Confusion:
    return comparison.pixels[name] if kind == "pixels" else comparison.objects[name].counts


def _shown(interval: Interval | None) -> str:
    return MISSING if interval is None else str(interval)


def _compared(case: Case, config: SegmentationEvaluation) -> Comparison:
    job = case.slide
    with open_slide(job.path, mpp=job.mpp) if job else nullcontext() as slide:
        pair = open_pair(
            case.truth, case.prediction, config.classes, complete=config.complete, slide=slide,
            frame=job.frame if job else None,
        )  # fmt: skip
        maps = config.out / f"{case.source}-errors.zarr" if config.error_maps else None
        if maps is not None:
            maps.parent.mkdir(parents=True, exist_ok=True)
        return compare(pair, least_iou=config.least_iou, out=maps, palette=config.palette)


def _cases(config: SegmentationEvaluation) -> Iterator[Case]:
    if config.pairs is not None:
        yield from _pairs(config.pairs)
        return
    assert config.slides is not None
    assert config.predictions is not None
    for job in list_slides(config.slides):
        if job.annotations is None:
            raise EvaluationError(
                f"{job.path.name} has no annotations beside it; give them in the list, or leave it "
                "out."
            )
        prediction = config.predictions / f"{job.source}.zarr"
        patient = job.patient_group or job.source
        yield Case(job.path.name, job.source, patient, job.annotations, prediction, job)


def _pairs(path: Path) -> Iterator[Case]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise EvaluationError(
            f"The list {path} cannot be read; give a CSV file in UTF-8."
        ) from None
    if not {"truth", "prediction"} <= set(columns) or set(columns) - set(COLUMNS):
        raise EvaluationError(
            f"The list {path.name} has the columns {', '.join(columns) or 'none'}; it needs truth "
            "and prediction and may have patient."
        )
    for row in rows:
        truth, prediction = (path.parent / row[name].strip() for name in COLUMNS[:2])
        job = SlideJob(prediction, truth, patient=row.get("patient"))
        patient = job.patient_group or job.source
        yield Case(prediction.name, job.source, patient, truth, prediction)
