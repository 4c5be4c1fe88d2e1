"""Predicting many slides: each whole, in turn or on several processes; killed and resumed.

One run at a time works in a folder. Outlines and table come to their place through the staging
folder of the run (:mod:`~napari_histoaug.patches.staging`); a prediction has a lock of its own.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.annotations import ClassTable, export_for_qupath
from napari_histoaug.errors import HistoaugError
from napari_histoaug.patches.jobs import SlideJob, list_slides
from napari_histoaug.patches.lock import RunLock
from napari_histoaug.patches.run import Outcome, Pool
from napari_histoaug.patches.staging import whole, write_text
from napari_histoaug.segmentation.polygons import outline_labels
from napari_histoaug.segmentation.prediction_store import CLASSES, PredictionStore
from napari_histoaug.segmentation.segmenter import Segmenter, load_segmenter
from napari_histoaug.segmentation.tissue_windows import tissue_windows
from napari_histoaug.segmentation.whole_slide import Progress, predict_slide, prediction_grid
from napari_histoaug.slides import Slide, open_slide

TABLE = "slides.csv"
COLUMNS = ("source", "status", "failed_tiles", "reason")


class PredictConfig(BaseModel):
    """``predict_slides.py``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Path = Field(description="folder of slides, or CSV of them; docs/patches.md")
    out: Path
    segmenter: str | None = Field(None, description="name or folder; the bundled one if omitted")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    batch: int = Field(8, ge=1, description="windows a network call")
    tissue: bool = Field(True, description="look only at windows with tissue")
    outlines: bool = Field(True, description="write QuPath GeoJSON, too")
    least_area: float = Field(0.0, ge=0, description="smallest outline, square micrometres")
    workers: int | None = Field(None, ge=0, description="processes; one a GPU; 0: in this one")
    scheduler: str | None = Field(None, description="address of a dask scheduler, tcp://...")

    def paths(self, job: SlideJob) -> tuple[Path, Path]:
        """Where the prediction and the outlines of a slide go; named by its salted id."""
        return self.out / f"{job.source}.zarr", self.out / f"{job.source}.geojson"


class SlideResult(NamedTuple):
    """What became of a slide.

    Attributes
    ----------
    job : SlideJob
    problem : str or None
        Why it failed, for the screen: it may name files.
    failed_tiles : int
        Tiles that could not be decoded; the prediction is 0 and not valid there.
    """

    job: SlideJob
    problem: str | None
    failed_tiles: int


def find_on_slide(
    segmenter: Segmenter,
    slide: Slide,
    out: Path,
    *,
    tissue: bool = True,
    batch: int = 8,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PredictionStore:
    """Predict a slide where it has tissue, or open what is there already from the same network.

    Raises
    ------
    SegmentationError
        When `out` is no finished prediction.
    HistoaugError
        When `out` was made by another network or of another slide, or see :func:`predict_slide`.
    """
    if out.exists():
        store = PredictionStore.open(out)
        made = store.facts.get("segmenter_sha256"), store.facts.get("slide_id")
        if made != (segmenter.sha256, slide.slide_id()):
            raise HistoaugError(
                f"{out} was made by another segmenter or of another slide; choose another folder, "
                "or delete it."
            )
        return store
    windows = tissue_windows(slide, prediction_grid(segmenter, slide)) if tissue else None
    predict_slide(
        segmenter, slide, out, wanted=windows, about=windows.about if windows else None,
        batch=batch, progress=progress, cancelled=cancelled,
    )  # fmt: skip
    return PredictionStore.open(out)


def write_outlines(
    store: PredictionStore,
    slide: Slide,
    path: Path,
    least_area: float = 0.0,
    staging: Path | None = None,
) -> list[str]:
    """Write a prediction as QuPath annotations, whole or not at all.

    Parameters
    ----------
    least_area : float
        Of an outline, in square micrometres (square level-0 pixels without a pixel size).
    staging : Path, optional
        Folder in which the run stages what it writes.

    Returns
    -------
    list of str
        What was changed for QuPath.

    Raises
    ------
    PatchError
        When the file cannot be written, or the run was shut out.
    """
    classes, spacing = store.facts["classes"], store.facts["level_0_pixels_per_pixel"]
    table = ClassTable.from_names(classes)
    pixel = slide.mpp[0] * slide.mpp[1] if slide.mpp else 1.0
    document = outline_labels(
        store.levels(CLASSES)[0],
        classes,
        table,
        (spacing[0], spacing[1]),
        least_area / pixel,
    )
    with whole(path, staging) as part:
        return export_for_qupath(document, part, table, slide)


def predict_one(job: SlideJob, config: PredictConfig, staging: Path) -> Outcome:
    """Predict a slide and outline what was found; what a user can cause is a sentence."""
    try:
        segmenter = _loaded(config.segmenter, _device_here(config.device))
        store_path, outline_path = config.paths(job)
        with open_slide(job.path, mpp=job.mpp) as slide:
            store = find_on_slide(
                segmenter, slide, store_path, tissue=config.tissue, batch=config.batch
            )
            if config.outlines and not outline_path.is_file():
                write_outlines(store, slide, outline_path, config.least_area, staging)
    except (HistoaugError, OSError) as error:
        return Outcome(problem=str(error))
    return Outcome()


def predict_many(
    config: PredictConfig, pool: Pool, say: Callable[[str], None] = lambda line: None
) -> list[SlideResult]:
    """Predict all slides of a list; a slide that fails does not stop the others.

    Parameters
    ----------
    config : PredictConfig
    pool : Pool
        Does the work; one slide is one task.
    say : callable
        Told one line a slide, for the screen: it may name files.

    Returns
    -------
    list of SlideResult
        In the order of the list; the same is in ``slides.csv``, without names.

    Raises
    ------
    HistoaugError
        When the slides or the segmenter cannot be found, or another run holds the folder.
    """
    jobs = list_slides(config.slides)
    # A segmenter that does not load is one sentence, not one a slide.
    load_segmenter(config.segmenter, "cpu")
    found: dict[str, SlideResult] = {}
    with RunLock(config.out.resolve()) as lock:
        for job, outcome in _outcomes(jobs, config, pool, lock):
            result = _result(job, outcome.problem, config)
            found[job.source] = result
            damage = f", {result.failed_tiles} tiles unreadable" if result.failed_tiles else ""
            say(f"{len(found)}/{len(jobs)} {job.path.name}: {result.problem or 'done'}{damage}")
            so_far = [found[j.source] for j in jobs if j.source in found]
            write_text(config.out / TABLE, _table(so_far), lock.staging)
    return [found[job.source] for job in jobs]


def _outcomes(
    jobs: Sequence[SlideJob], config: PredictConfig, pool: Pool, lock: RunLock
) -> Iterator[tuple[SlideJob, Outcome]]:
    """Predict every slide, a few more at a time than there are workers."""
    waiting, running = iter(jobs), 0
    for _ in jobs:
        while running <= pool.width and (job := next(waiting, None)) is not None:
            pool.start(job, predict_one, job, config, lock.staging)
            running += 1
        lock.check()
        yield pool.next()
        running -= 1


def workers_for(config: PredictConfig) -> int:
    """How many processes to start: as many as were asked for, else one for each of several GPUs."""
    if config.workers is not None:
        return config.workers
    gpus = torch.cuda.device_count() if config.device in ("auto", "cuda") else 0
    return gpus if gpus > 1 else 0


def _device_here(wanted: str) -> str:
    """The GPU of this process: workers of a local cluster are numbered."""
    gpus = torch.cuda.device_count()
    if wanted not in ("auto", "cuda") or gpus < 2:
        return wanted
    try:
        from distributed import get_worker

        name = get_worker().name
    except (ImportError, ValueError):  # not in a worker
        return wanted
    return f"cuda:{name % gpus}" if isinstance(name, int) else wanted


@functools.lru_cache(maxsize=1)
def _loaded(source: str | None, device: str) -> Segmenter:
    return load_segmenter(source, device)


def _result(job: SlideJob, problem: str | None, config: PredictConfig) -> SlideResult:
    if problem is not None:
        return SlideResult(job, problem, 0)
    facts = PredictionStore.open(config.paths(job)[0]).facts
    return SlideResult(job, None, len(facts["failed_tiles"]))


def _table(results: list[SlideResult]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for job, problem, failed in results:
        reason = job.without_names(problem) if problem else ""
        writer.writerow([job.source, "failed" if problem else "done", failed, reason])
    return text.getvalue()
