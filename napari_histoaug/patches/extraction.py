"""One slide's patches in steps that may each die and be done again.

A step reads files of earlier steps and writes its own whole, through the staging folder of its run
(:mod:`~napari_histoaug.patches.staging`). The state of a slide is what lies in the output folder:

- ``work/<source>.parquet``: its plan (:func:`plan_slide`);
- ``work/<source>-<part>.json``: a part of the plan was read, and written in the form that was asked
  for (:func:`read_part_of`); holds the tiles that could not be decoded;
- ``slides/<source>.parquet``: its manifest, complete (:func:`finish_slide`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histoaug import __version__
from napari_histoaug.patches import manifest
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.forms import write_part
from napari_histoaug.patches.grid import Grid
from napari_histoaug.patches.inputs import inputs_now, opened
from napari_histoaug.patches.jobs import SlideJob
from napari_histoaug.patches.manifest import SlideEntry
from napari_histoaug.patches.plan import plan_patches
from napari_histoaug.patches.reading import PatchReader, failed_tiles, tile_boxes
from napari_histoaug.patches.recipe import Recipe
from napari_histoaug.patches.similar import thumbnail_hash
from napari_histoaug.patches.staging import take_away, write_text
from napari_histoaug.patches.tables import class_summaries, cut_parts, facts_of, table_of
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.damage import Failure, refuse_damaged

if TYPE_CHECKING:
    import pyarrow as pa


def plan_slide(job: SlideJob, recipe: Recipe) -> SlideEntry:
    """Plan the patches of a slide and write the plan.

    Raises
    ------
    HistoaugError
        When the slide or its annotations cannot be used.
    """
    if job.annotations is None and recipe.settings.target_percent > 0:
        return _entry(job, "skipped", reason="There are no annotations for the slide.")
    with opened(job, recipe) as (slide, labels, _, note, inputs):
        plan = plan_patches(slide, labels, recipe.settings)
        slide.check_failures(plan.grid.level, tile_boxes(
            slide, plan.grid, plan.rows, plan.columns, recipe.settings.size
        ), recipe.settings.most_damaged)  # fmt: skip
        parts, indices = cut_parts(plan, recipe)
        entry = _entry(
            job,
            "done" if len(plan) else "empty",
            note=note,
            slide_id=slide.slide_id(),
            spacing=plan.grid.spacing,
            level=plan.grid.level,
            patches=len(plan),
            parts=int(parts.max(initial=-1)) + 1,
            thumbnail_hash=thumbnail_hash(plan.thumbnail),
            classes=class_summaries(plan, recipe.classes),
            **inputs._asdict(),
        )
        table = table_of(slide, plan, entry, recipe, parts, indices)
    manifest.write_table(recipe.plan_path(entry.source), table, recipe.staging)
    return entry


def read_part_of(job: SlideJob, recipe: Recipe, part: int) -> None:
    """Read one part of a slide's plan, write it in the form asked for, and record the damage.

    Raises
    ------
    HistoaugError
        When the slide, its annotations or its edits have changed, or it is too damaged.
    """
    path = recipe.plan_path(job.source)
    entry = manifest.read_info(path).only
    table = manifest.read_table(path)
    rows, columns, parts = (table[name].to_numpy() for name in ("row", "column", "part"))
    here = np.flatnonzero(parts == part)
    with opened(job, recipe) as (slide, labels, store, _, inputs):
        if not inputs.made(entry):
            raise PatchError(
                f"{slide.path.name}, its annotations or its edits have changed meanwhile; start "
                "again."
            )
        grid = grid_of(entry)
        reader = PatchReader(slide, grid, labels, recipe.settings.size, store)
        patches = reader.patches(rows[here], columns[here])
        if recipe.form == "manifest":
            for _ in patches:
                pass
        else:
            target = recipe.part_path(entry.source, part)
            facts = facts_of(table.take(here), recipe.classes)
            size = recipe.settings.size
            write_part(target, recipe.form, patches, facts, size, recipe.staging)
        boxes = tile_boxes(slide, grid, rows, columns, recipe.settings.size)
        slide.check_failures(grid.level, boxes, recipe.settings.most_damaged)
        failures = sorted((f.level, f.row, f.column) for f in slide.failures)
    ledger = recipe.ledger_path(entry.source, part)
    write_text(ledger, manifest.canonical(failures), recipe.staging)


def finish_slide(job: SlideJob, recipe: Recipe) -> SlideEntry:
    """Write a slide's manifest when all its parts were read.

    Raises
    ------
    HistoaugError
        When too many tiles could not be decoded.
    """
    import pyarrow as pa

    path = recipe.plan_path(job.source)
    entry = manifest.read_info(path).only
    table = manifest.read_table(path)
    if recipe.reads:
        ledgers = (recipe.ledger_path(entry.source, k) for k in range(entry.parts))
        bad = {tuple(map(int, key)) for ledger in ledgers for key in json.loads(ledger.read_text())}
        counts = np.zeros(len(table), np.int32)
        if bad:
            counts = _failed_counts(job, recipe, grid_of(entry), table, bad)
        at = table.schema.get_field_index("n_failed_tiles")
        table = table.set_column(at, table.schema.field(at), pa.array(counts, pa.int32()))
    manifest.write_table(recipe.manifest_path(entry.source), table, recipe.staging)
    return entry


def _failed_counts(
    job: SlideJob, recipe: Recipe, grid: Grid, table: pa.Table, bad: set[tuple[int, ...]]
) -> NDArray[np.int32]:
    """Count the tiles under each patch that no part could decode; too many of them are refused."""
    with open_slide(job.path, mpp=job.mpp) as slide:
        rows, columns = (table[name].to_numpy() for name in ("row", "column"))
        boxes = tile_boxes(slide, grid, rows, columns, recipe.settings.size)
        failures = [Failure(level, row, column, "") for level, row, column in sorted(bad)]
        refuse_damaged(
            slide.path.name, failures, grid.level, slide.tile_shapes[grid.level], boxes,
            recipe.settings.most_damaged,
        )  # fmt: skip
        return failed_tiles(failures, slide.tile_shapes[grid.level], grid, boxes)


def record_without_patches(
    job: SlideJob, recipe: Recipe, status: manifest.Status, why: str
) -> SlideEntry:
    """Write the explicit, empty manifest of a slide that could not be used.

    Raises
    ------
    PatchError
        When it cannot be written.
    """
    forget(job.source, recipe)
    entry = _entry(job, status, reason=job.without_names(why))
    table = manifest.schema(recipe.info(entry)).empty_table()
    manifest.write_table(recipe.manifest_path(entry.source), table, recipe.staging)
    return entry


def forget(source: str, recipe: Recipe) -> None:
    """Remove everything that was made of a slide.

    Raises
    ------
    PatchError
        When it cannot be removed.
    """
    # First what says that the rest is there: whenever this is interrupted, it is done again.
    take_away(recipe.manifest_path(source), recipe.staging)
    forget_steps(source, recipe)
    for path in recipe.part_paths(source):
        take_away(path, recipe.staging)


def forget_steps(source: str, recipe: Recipe) -> None:
    """Remove what the steps of a slide left for each other; raises as :func:`forget`."""
    take_away(recipe.plan_path(source), recipe.staging)
    for path in sorted(recipe.work.glob(f"{source}-*.json")):
        take_away(path, recipe.staging)


def finished_entry(job: SlideJob, recipe: Recipe) -> SlideEntry | None:
    """Return what a slide's finished manifest says, if it still holds; None when work is to do."""
    return _still_holds(job, recipe, recipe.manifest_path(job.source))


def planned_entry(job: SlideJob, recipe: Recipe) -> SlideEntry | None:
    """Return what a slide's plan says, if it still holds; else None."""
    return _still_holds(job, recipe, recipe.plan_path(job.source))


def _still_holds(job: SlideJob, recipe: Recipe, path: Path) -> SlideEntry | None:
    if not path.is_file():
        return None
    try:
        info = manifest.read_info(path)
    except PatchError:
        return None
    entry = info.only
    same = info.config_sha256 == recipe.sha256 and info.code_version == __version__
    if not same or entry.status == "failed":
        return None
    if entry.status == "skipped":
        return entry if job.annotations is None else None
    if not inputs_now(job, recipe).made(entry):
        return None
    return entry.model_copy(update={"patient_group": job.patient_group})


def _entry(job: SlideJob, status: manifest.Status, **facts: Any) -> SlideEntry:
    return SlideEntry(source=job.source, status=status, patient_group=job.patient_group, **facts)


def grid_of(entry: SlideEntry) -> Grid:
    """Return the grid a plan was made on, as far as reading needs it."""
    assert entry.spacing is not None
    assert entry.level is not None
    return Grid((0, 0), entry.spacing, entry.level, None)
