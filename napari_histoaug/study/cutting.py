"""Fields of view cut from one whole slide: those with outlined vessels, and some without.

A slide is a stage of its own, so that many can be cut side by side, and its place is keyed by what
is in the slide and its annotations, not by what they are called. A field is a picture and its
outlines in its own pixels, both named by its corner; names of files or people reach nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_histoaug.annotations import ClassTable, Document
from napari_histoaug.annotations.writing import write_geojson
from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.command_line import say
from napari_histoaug.models.checkpoints import write_json
from napari_histoaug.patches import PatchSettings
from napari_histoaug.patches.inputs import file_sha256, placed_annotations
from napari_histoaug.patches.jobs import SlideJob
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.manifest import ClassSummary, SlideEntry
from napari_histoaug.patches.pixels import read_pixels
from napari_histoaug.patches.plan import PatchPlan, plan_patches
from napari_histoaug.patches.reading import failed_tiles, tile_boxes
from napari_histoaug.slides import Slide, open_slide
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.drawn import Drawn
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.slides import ListedSlide, SlidesConfig, listed_slides
from napari_histoaug.study.stages import fill

SLIDES, ENTRY = "slides", "slide.json"
PICTURES, OUTLINES = "tiles", "outlines"


def slide_stages(config: StudyConfig) -> list[str]:
    """Stages of all slides; none when the study starts from fields."""
    if config.slides is None:
        return []
    return [f"{SLIDES}/{slide.number}" for slide in listed_slides(config.slides)]


def cut_slide(config: StudyConfig, number: str) -> bool:
    """Cut the fields of a slide of the table; returns whether anything was done.

    A slide that cannot be used is named by its line, and its place says why; run again, it is tried
    again. The other slides do without it.

    Raises
    ------
    StudyError
        When the study has no such slide.
    """
    listed = listed_slides(config.slides) if config.slides is not None else []
    slide = next((each for each in listed if str(each.number) == number), None)
    if config.slides is None or slide is None:
        raise StudyError(f"There is no slide {number}; the study's table has {len(listed)}.")
    place = config.out / SLIDES / number
    job = slide.job
    try:
        inputs = _inputs(config, job)
        return fill(place, inputs, lambda part: _Cut(config, slide, part).do(), "cpu")
    except (HistoaugError, OSError) as error:
        why = job.without_names(str(error))
        say(f"Line {slide.line} of {config.slides.table.name} is left out: {why}")
        failed = SlideEntry(source=number, status="failed", reason=why)
        return fill(place, {"failed": why}, lambda part: _write(failed, part), "cpu")


def _inputs(config: StudyConfig, job: SlideJob) -> dict[str, Any]:
    assert config.slides is not None
    if job.annotations is None:
        raise StudyError(
            f"{job.path.name} has no annotations; export them as {job.path.stem}.geojson, or name "
            "them in the column annotations."
        )
    beside = {"table", "annotations", "shares"}
    with open_slide(job.path, mpp=job.mpp) as slide:
        return {
            "settings": config.slides.model_dump(mode="json", exclude=beside),
            "mpp": config.tissue.mpp,
            "label": config.tissue.label,
            "slide": slide.sha256(),
            "annotations": file_sha256(job.annotations),
            "given": [job.mpp, job.frame],
        }


def _write(entry: SlideEntry, part: Path) -> int:
    write_json(part / ENTRY, entry.model_dump(mode="json"))
    return entry.patches


class _Cut:
    """Cuts one slide into a folder; what an interrupted attempt left there is kept."""

    def __init__(self, config: StudyConfig, listed: ListedSlide, part: Path) -> None:
        assert config.slides is not None
        self._told, self._tissue = config.slides, config.tissue
        self._listed, self._part = listed, part

    def do(self) -> int:
        """Return the number of fields."""
        for folder in (PICTURES, OUTLINES):
            (self._part / folder).mkdir(exist_ok=True)
        job = self._listed.job
        with open_slide(job.path, mpp=job.mpp) as slide:
            if slide.mpp is None:
                raise StudyError(
                    f"{job.path.name} has no pixel size; give it in the column mpp of the table."
                )
            index, note = placed_annotations(job, slide, skip_bad=self._told.skip_bad)
            drawn = Drawn(index, self._tissue.label, self._told.region)
            settings = PatchSettings(
                size=self._told.side, stride=self._told.side, mpp=self._tissue.mpp,
                tissue_percent=0, target_percent=0, edits=False,
            )  # fmt: skip
            labels = Labels(index, ClassTable.from_names([self._tissue.label]))
            plan = plan_patches(slide, labels, settings)
            seen = drawn.seen_shares(plan.grid, plan.rows, plan.columns, self._told.side)
            fields = draw_fields(plan, seen, self._told, slide.sha256())
            kept = [at for at in fields.taken if self._cut(slide, drawn, plan, at)]
            return _write(self._entry(slide, plan, fields, kept, note), self._part)

    def _cut(self, slide: Slide, drawn: Drawn, plan: PatchPlan, at: int) -> bool:
        """Write a field, unless part of it cannot be decoded."""
        row, column, side = int(plan.rows[at]), int(plan.columns[at]), self._told.side
        path = self._part / PICTURES / f"x{column}_y{row}.png"
        if path.exists():
            return True
        pixels = read_pixels(slide, plan.grid, (row, column, side, side))
        corner = np.array([row]), np.array([column])
        boxes = tile_boxes(slide, plan.grid, *corner, side)
        tile = slide.tile_shapes[plan.grid.level]
        if failed_tiles(slide.failures, tile, plan.grid, boxes).any():
            return False
        found = drawn.within(plan.grid, (row, column, side, side))
        outlines = self._part / OUTLINES / f"{path.stem}.geojson"
        write_geojson(Document.from_features(found), outlines)
        # The picture comes last and whole: where it is, its outlines are.
        fresh = path.with_suffix(".part")
        # Of tissue, zlib's other levels take longer and save nothing.
        Image.fromarray(pixels).save(fresh, "png", compress_level=1)
        fresh.replace(path)
        return True

    def _entry(
        self, slide: Slide, plan: PatchPlan, fields: DrawnFields, kept: list[int], note: str
    ) -> SlideEntry:
        unit = float(np.prod(plan.grid.mpp or plan.grid.spacing))
        area = unit * float(plan.class_pixels[0, kept].sum())
        vessels = int((plan.class_pixels[0, kept] > 0).sum())
        counted = (
            f"{vessels} of {fields.vessels} fields with vessels, {len(kept) - vessels} of "
            f"{fields.empty} without"
        )
        if lost := len(fields.taken) - len(kept):
            counted += f", {lost} left out as damaged"
        none = "" if kept else f"No field of {self._told.side} pixels holds a {self._tissue.label}."
        (outlined,) = plan.areas
        return SlideEntry(
            source=str(self._listed.number),
            status="done" if kept else "empty",
            reason=none,
            note=f"{counted}. {self._listed.job.without_names(note)}".strip(),
            slide_sha256=slide.sha256(),
            patches=len(kept),
            classes={outlined.name: ClassSummary(area=outlined.area, in_patches=area)},
        )


class DrawnFields(NamedTuple):
    """Which fields of a plan are taken (their indices), and of how many with and without."""

    taken: list[int]
    vessels: int
    empty: int


def draw_fields(
    plan: PatchPlan, seen: npt.NDArray[np.float64], told: SlidesConfig, sha256: str
) -> DrawnFields:
    """Draw the fields of a slide: those with vessels, and as many without as are wanted.

    The draw depends on the seed and the slide's bytes alone.

    Parameters
    ----------
    plan : PatchPlan
        All windows.
    seen : float64 (n,)
        Share of each that was looked at.
    told : SlidesConfig
    sha256 : str
        Of the slide.
    """
    with_vessels = (plan.class_pixels[0] > 0) & (seen > 0)
    tissue = 100 * plan.tissue_cells >= told.tissue_percent * plan.cells
    tissue &= (100 * seen >= told.tissue_percent) & (seen > 0) & (plan.class_pixels[0] == 0)
    rng = np.random.default_rng([told.seed, int(sha256[:16], 16)])
    vessels, empty = (rng.permutation(np.flatnonzero(which)) for which in (with_vessels, tissue))
    most = len(plan) if told.most is None else told.most
    taken = vessels[: max(1, int(most * (1 - told.empty_share)))] if told.most else vessels
    wanted = round(len(taken) * told.empty_share / (1 - told.empty_share))
    wanted = min(wanted, most - len(taken))
    both: npt.NDArray[np.intp] = np.sort(np.concatenate([taken, empty[:wanted]]))
    return DrawnFields(both.tolist(), len(vessels), len(empty))
