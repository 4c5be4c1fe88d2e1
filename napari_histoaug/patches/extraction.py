"""One slide's patches in steps that may each die and be done again.

A step reads files of earlier steps and writes its own whole, so the state of a slide is what lies
in the output folder:

- ``work/<source>.parquet``: its plan (:func:`plan_slide`);
- ``work/<source>-<part>.json``: a part of the plan was read, and written in the form that was asked
  for (:func:`read_part_of`); holds the tiles that could not be decoded;
- ``slides/<source>.parquet``: its manifest, complete (:func:`finish_slide`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug import __version__
from napari_histoaug.annotations import AnnotationIndex, ClassTable, place_on
from napari_histoaug.edits import EditStore
from napari_histoaug.patches import manifest
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.forms import part_path, write_part
from napari_histoaug.patches.grid import TILE, Grid
from napari_histoaug.patches.jobs import SlideJob
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.manifest import ClassSummary, ManifestInfo, SlideEntry
from napari_histoaug.patches.plan import PatchPlan, plan_patches
from napari_histoaug.patches.reading import PatchReader, failed_tiles, tile_boxes
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.patches.similar import thumbnail_hash
from napari_histoaug.slides import Slide, open_slide
from napari_histoaug.slides.damage import Failure, refuse_damaged

if TYPE_CHECKING:
    import pyarrow as pa

FormName = Literal["manifest", "zarr", "tar", "png"]


class Recipe(BaseModel):
    """What is made of every slide, and where.

    Attributes
    ----------
    out : Path
    settings : PatchSettings
    classes : ClassTable
    form : str
        "manifest" for positions only, else "zarr", "tar" or "png".
    synthetic : bool
        Whether patches with generated pixels are written in that form, too.
    verify : bool
        Read every patch even when only positions are wanted, so that damage is known.
    part : int
        Patches a part holds, at most but for the last tile's.
    skip_bad : bool
        Leave out broken features of the annotations; else their slide fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    settings: PatchSettings
    classes: ClassTable
    form: FormName = "manifest"
    synthetic: bool = False
    verify: bool = True
    part: int = Field(4096, ge=1)
    skip_bad: bool = False

    @property
    def sha256(self) -> str:
        """The hash of everything but the place."""
        return self.settings.sha256(self.classes)

    @property
    def reads(self) -> bool:
        """Whether pixels of patches are read."""
        return self.verify or self.form != "manifest"

    def info(self, *entries: SlideEntry) -> ManifestInfo:
        """Return the metadata of a manifest of some slides."""
        return ManifestInfo(
            config_sha256=self.sha256,
            settings=self.settings,
            classes=self.classes,
            code_version=__version__,
            slides=entries,
        )

    def plan_path(self, source: str) -> Path:
        """Where a slide's plan lies between the steps."""
        return self.out / "work" / f"{source}.parquet"

    def ledger_path(self, source: str, part: int) -> Path:
        """Where it is written that a part was read."""
        return self.out / "work" / f"{source}-{part:05d}.json"

    def manifest_path(self, source: str) -> Path:
        """Where a slide's finished manifest lies."""
        return self.out / "slides" / f"{source}.parquet"


class Opened(NamedTuple):
    """A slide ready to be worked on; `note` is what the user should know of its annotations."""

    slide: Slide
    labels: Labels
    store: EditStore | None
    note: str


def plan_slide(job: SlideJob, recipe: Recipe) -> SlideEntry:
    """Plan the patches of a slide and write the plan.

    Raises
    ------
    HistoaugError
        When the slide or its annotations cannot be used.
    """
    if job.annotations is None and recipe.settings.target_percent > 0:
        return _entry(job, "skipped", reason="There are no annotations for the slide.")
    with opened(job, recipe) as (slide, labels, _, note):
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
            slide_sha256=slide.sha256(),
            annotation_sha256=_file_sha256(job.annotations),
            spacing=plan.grid.spacing,
            level=plan.grid.level,
            patches=len(plan),
            parts=int(parts.max(initial=-1)) + 1,
            thumbnail_hash=thumbnail_hash(plan.thumbnail),
            classes=_class_summaries(plan, recipe.classes),
        )
        table = _table(slide, plan, entry, recipe, parts, indices)
    manifest.write_table(recipe.plan_path(entry.source), table)
    return entry


def read_part_of(job: SlideJob, recipe: Recipe, part: int) -> None:
    """Read one part of a slide's plan, write it in the form asked for, and record the damage.

    Raises
    ------
    HistoaugError
        When the slide has changed or is too damaged.
    """
    path = recipe.plan_path(job.source)
    entry = manifest.read_info(path).only
    table = manifest.read_table(path)
    rows, columns, parts = (table[name].to_numpy() for name in ("row", "column", "part"))
    here = np.flatnonzero(parts == part)
    with opened(job, recipe) as (slide, labels, store, _):
        if slide.sha256() != entry.slide_sha256:
            raise PatchError(f"{slide.path.name} has changed meanwhile; start again.")
        grid = grid_of(entry)
        reader = PatchReader(slide, grid, labels, recipe.settings.size, store)
        patches = reader.patches(rows[here], columns[here])
        if recipe.form == "manifest":
            for _ in patches:
                pass
        else:
            target = part_path(recipe.out, recipe.form, entry.source, part)
            facts = _facts(table.take(here), recipe.classes)
            write_part(target, recipe.form, patches, facts, recipe.settings.size)
        boxes = tile_boxes(slide, grid, rows, columns, recipe.settings.size)
        slide.check_failures(grid.level, boxes, recipe.settings.most_damaged)
        failures = sorted((f.level, f.row, f.column) for f in slide.failures)
    write_text(recipe.ledger_path(entry.source, part), manifest.canonical(failures))


def finish_slide(job: SlideJob, recipe: Recipe) -> SlideEntry:
    """Write a slide's manifest when all its parts were read, and tidy up.

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
        with open_slide(job.path, mpp=job.mpp) as slide:
            grid = grid_of(entry)
            rows, columns = (table[name].to_numpy() for name in ("row", "column"))
            boxes = tile_boxes(slide, grid, rows, columns, recipe.settings.size)
            failures = [Failure(level, row, column, "") for level, row, column in sorted(bad)]
            refuse_damaged(
                slide.path.name, failures, grid.level, slide.tile_shapes[grid.level], boxes,
                recipe.settings.most_damaged,
            )  # fmt: skip
            counts = failed_tiles(failures, slide.tile_shapes[grid.level], grid, boxes)
        at = table.schema.get_field_index("n_failed_tiles")
        table = table.set_column(at, table.schema.field(at), pa.array(counts, pa.int32()))
    manifest.write_table(recipe.manifest_path(entry.source), table)
    forget_steps(job.source, recipe)
    return entry


def record_without_patches(
    job: SlideJob, recipe: Recipe, status: manifest.Status, why: str
) -> SlideEntry:
    """Write the explicit, empty manifest of a slide that could not be used, and tidy up."""
    entry = _entry(job, status, reason=job.without_names(why))
    columns = manifest.schema(recipe.info(entry))
    manifest.write_table(recipe.manifest_path(entry.source), columns.empty_table())
    if recipe.form != "manifest":
        for path in (recipe.out / recipe.form).glob(f"{entry.source}-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    forget_steps(entry.source, recipe)
    return entry


def forget_steps(source: str, recipe: Recipe) -> None:
    """Remove what the steps of a slide left for each other."""
    for path in (recipe.out / "work").glob(f"{source}*"):
        path.unlink(missing_ok=True)


def finished_entry(job: SlideJob, recipe: Recipe) -> SlideEntry | None:
    """Return what a slide's finished manifest says, if it still holds; None when work is to do."""
    return _still_holds(job, recipe, recipe.manifest_path(job.source))


def planned_entry(job: SlideJob, recipe: Recipe) -> SlideEntry | None:
    """Return what a slide's plan says, if it still holds; else None."""
    return _still_holds(job, recipe, recipe.plan_path(job.source))


def cut_parts(plan: PatchPlan, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Divide a plan at borders of tiles: int32 part, and index in it, of every patch.

    Patches with generated pixels are in no part (-1) unless the recipe wants them.
    """
    parts = np.full(len(plan), -1, np.int32)
    indices = np.full(len(plan), -1, np.int32)
    good = np.flatnonzero((plan.synthetic_pixels == 0) | recipe.synthetic)
    if not len(good):
        return parts, indices
    tiles = np.stack([plan.rows[good] // TILE, plan.columns[good] // TILE])
    new = np.concatenate([[0], np.flatnonzero(np.diff(tiles).any(axis=0)) + 1, [len(good)]])
    part, start = 0, 0
    for low, high in itertools.pairwise(new):
        if high - start > recipe.part and low > start:
            part, start = part + 1, int(low)
        parts[good[low:high]] = part
        indices[good[low:high]] = np.arange(low, high) - start
    return parts, indices


@contextmanager
def opened(job: SlideJob, recipe: Recipe) -> Iterator[Opened]:
    with open_slide(job.path, mpp=job.mpp) as slide:
        index, note = _annotations(job, recipe, slide)
        store = EditStore.open(slide) if recipe.settings.edits else None
        yield Opened(slide, Labels(index, recipe.classes, store), store, note)


def _annotations(job: SlideJob, recipe: Recipe, slide: Slide) -> tuple[AnnotationIndex | None, str]:
    """Read a slide's annotations, make sure that they are its own, and say what lies outside."""
    if job.annotations is None:
        return None, ""
    name = job.annotations.name
    index = AnnotationIndex.from_file(job.annotations)
    lost = [problem for problem in index.problems if not problem.kept]
    if lost and not recipe.skip_bad:
        raise PatchError(
            f"{lost[0].place} of {name} {lost[0].reason} (broken features: {len(lost)}); correct "
            "or delete them, or set skip_bad to leave them out."
        )
    recipe.classes.check(index.class_counts(), name)
    return index, place_on(index, slide, job.frame, source=name).sentence


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
    if entry.annotation_sha256 != _file_sha256(job.annotations):
        return None
    with open_slide(job.path, mpp=job.mpp) as slide:
        same = entry.slide_sha256 == slide.sha256()
    return entry.model_copy(update={"patient_group": job.patient_group}) if same else None


def _entry(job: SlideJob, status: manifest.Status, **facts: Any) -> SlideEntry:
    return SlideEntry(source=job.source, status=status, patient_group=job.patient_group, **facts)


def grid_of(entry: SlideEntry) -> Grid:
    """Return the grid a plan was made on, as far as reading needs it."""
    assert entry.spacing is not None
    assert entry.level is not None
    return Grid((0, 0), entry.spacing, entry.level, None)


def _class_summaries(plan: PatchPlan, classes: ClassTable) -> dict[str, ClassSummary]:
    unit = float(np.prod(plan.grid.mpp or plan.grid.spacing))
    pairs = zip(classes.names, plan.areas, plan.class_pixels, strict=True)
    return {
        name: ClassSummary(
            area=a.area, lost_by_rule=a.lost_by_rule, lost=a.lost, in_patches=unit * int(n.sum())
        )
        for name, a, n in pairs
    }


def _table(
    slide: Slide,
    plan: PatchPlan,
    entry: SlideEntry,
    recipe: Recipe,
    parts: np.ndarray,
    indices: np.ndarray,
) -> pa.Table:
    import pyarrow as pa

    n, size = len(plan), recipe.settings.size
    boxes = np.array(tile_boxes(slide, plan.grid, plan.rows, plan.columns, size)).reshape(-1, 4)
    mpp = plan.grid.mpp or (None, None)
    # How many cells' centres a patch has is 0 only for patches smaller than a cell.
    tissue = plan.tissue_cells / np.maximum(plan.cells, 1)
    values: dict[str, Any] = {
        "slide_id": entry.slide_id, "slide_sha256": entry.slide_sha256,
        "patient_group": entry.patient_group,
        "y": np.floor(plan.rows * plan.grid.spacing[0] + 1e-6).astype(np.int64),
        "x": np.floor(plan.columns * plan.grid.spacing[1] + 1e-6).astype(np.int64),
        "row": plan.rows, "column": plan.columns, "level": plan.grid.level,
        "read_height": boxes[:, 2], "read_width": boxes[:, 3], "out_size": size,
        "stride": recipe.settings.stride, "mpp_y": mpp[0], "mpp_x": mpp[1],
        "tissue_frac": tissue, "synthetic_frac": plan.synthetic_pixels / size**2,
        "n_failed_tiles": None, "annotation_sha256": entry.annotation_sha256,
        "config_sha256": recipe.sha256, "code_version": __version__, "source": entry.source,
        "part": parts, "index": indices, "split": "", "status": "done",
    }  # fmt: skip
    for name, pixels in zip(recipe.classes.names, plan.class_pixels, strict=True):
        values[manifest.fraction_column(name)] = pixels / size**2
    columns = manifest.schema(recipe.info(entry))
    arrays = [
        pa.array(values[field.name], field.type)
        if isinstance(values[field.name], np.ndarray)
        else pa.repeat(pa.scalar(values[field.name], field.type), n)
        for field in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)


def _facts(table: pa.Table, classes: ClassTable) -> list[dict[str, Any]]:
    names = ["slide_id", "y", "x", "row", "column", "mpp_y", "mpp_x", "tissue_frac"]
    names += [manifest.fraction_column(name) for name in classes.names] + ["synthetic_frac"]
    return list(table.select(names).to_pylist())


def _file_sha256(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise PatchError(
            f"The annotations {path.name} cannot be read ({error.strerror or error}); check the "
            "path."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or leave what was there."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
