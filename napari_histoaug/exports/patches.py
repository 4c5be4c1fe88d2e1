"""Patches of one slide around its edits, or over all of it, as a small data set of their own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.annotations import ClassTable, Document, write_geojson
from napari_histoaug.errors import Cancelled as Stopped
from napari_histoaug.errors import HistoaugError
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.whole import Cancelled, Progress, never, nobody, unwritable
from napari_histoaug.patches import PatchSettings, manifest
from napari_histoaug.patches.extraction import plan_slide
from napari_histoaug.patches.jobs import SlideJob
from napari_histoaug.patches.manifest import SlideEntry
from napari_histoaug.patches.recipe import Recipe
from napari_histoaug.patches.run import ExtractConfig, Here, Outcome, run_extraction
from napari_histoaug.slides import Slide

PART = 256  # patches between two questions whether to stop


class PatchOrder(BaseModel):
    """Which patches are wanted, and in which form.

    Attributes
    ----------
    form : str
        "png", "zarr" or "tar" (WebDataset).
    around : str
        "edits" for the patches with generated pixels in them, "slide" for all tissue.
    size, stride : int
        Pixels of the patches.
    mpp : float or None
        Micrometres a pixel; level 0 when None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["png", "zarr", "tar"] = "png"
    around: Literal["edits", "slide"] = "edits"
    size: int = Field(256, ge=8, le=4096)
    stride: int = Field(128, ge=1)
    mpp: float | None = Field(None, gt=0, le=20)

    @property
    def settings(self) -> PatchSettings:
        """The same in the words of a data set of many slides."""
        tissue = 0 if self.around == "edits" else 50
        return PatchSettings(
            size=self.size, stride=self.stride, mpp=self.mpp, border="shift",
            tissue_percent=tissue, target_percent=0,
        )  # fmt: skip


def export_patches(
    slide: Slide,
    folder: Path,
    classes: ClassTable,
    order: PatchOrder,
    annotations: Document | None = None,
    *,
    progress: Progress = nobody,
    cancelled: Cancelled = never,
) -> Path:
    """Write patches and their masks with a manifest; the slide's edits are seen in both.

    Parameters
    ----------
    slide : Slide
        A file; it is opened again.
    folder : Path
        Must not exist. It becomes a data set as :doc:`docs/patches.md` tells, of one slide.
    classes : ClassTable
        For the mask values; classes of the annotations must be in it.
    order : PatchOrder
    annotations : Document, optional
        Placed on the slide; edits are painted over them.
    progress : callable, optional
        Called with the parts of up to 256 patches written and their number.
    cancelled : callable, optional
        Asked before each part.

    Returns
    -------
    Path
        The folder's ``manifest.parquet``.

    Raises
    ------
    HistoaugError
        When there is no such patch, or the slide cannot be used. Nothing is left then.
    Cancelled
        When `cancelled` said so. Nothing is left then.
    """
    if hasattr(slide, "address"):
        raise ExportError(
            "Patches are made of files, not of images behind an address; copy the slide here first."
        )
    if folder.exists():
        raise ExportError(f"{folder} exists already; choose another one.")
    with tempfile.TemporaryDirectory() as place:
        drawn = None
        if annotations is not None and annotations.features:
            drawn = Path(place) / "annotations.geojson"
            write_geojson(annotations, drawn)
        frame = annotations.frame.name if annotations is not None else None
        job = SlideJob(slide.path, drawn, slide.mpp[0] if slide.mpp else None, None, frame)
        try:
            return _extract(job, folder, classes, order, progress, cancelled)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise unwritable(folder.parent, error) from error
        except (HistoaugError, Stopped):
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _extract(
    job: SlideJob,
    folder: Path,
    classes: ClassTable,
    order: PatchOrder,
    progress: Progress,
    cancelled: Cancelled,
) -> Path:
    recipe = Recipe(
        out=folder.resolve(), settings=order.settings, classes=classes, form=order.form,
        synthetic=True, part=PART,
    )  # fmt: skip
    pool = _Watched(order, progress, cancelled)
    config = ExtractConfig(slides=job.path, out=folder, form=order.form, splits=None)
    report = run_extraction(config, pool, jobs=[job], recipe=recipe)
    (entry,) = report.slides
    if entry.status != "done":
        none = {
            "edits": "No patch of this size holds a generated pixel: accept an edit, or ask for "
            "smaller patches.",
            "slide": "The slide has no tissue for a patch of this size; ask for smaller patches.",
        }
        raise ExportError(entry.reason or none[order.around])
    return report.manifest


class _Watched(Here):
    """Does the steps here, one after the other; says how far it is and can be stopped."""

    def __init__(self, order: PatchOrder, progress: Progress, cancelled: Cancelled) -> None:
        super().__init__()
        self._order, self._progress, self._cancelled = order, progress, cancelled
        self._parts = self._done = 0

    def next(self) -> tuple[Any, Outcome]:
        """Do the first step noted, unless it was cancelled."""
        if self._cancelled():
            raise Stopped("Exporting patches was cancelled; nothing was kept.")
        _, _, arguments = self._waiting[0]
        tag, outcome = super().next()
        if tag[1] == plan_slide.__name__ and outcome.entry is not None:
            if self._order.around == "edits" and outcome.entry.patches:
                outcome = Outcome(only_edited(arguments[2], outcome.entry))
            self._parts = outcome.entry.parts if outcome.entry else 0
        elif tag[2] is not None:
            self._done += 1
            self._progress(self._done, self._parts)
        return tag, outcome


def only_edited(recipe: Recipe, entry: SlideEntry) -> SlideEntry:
    """Leave only the patches with generated pixels in a slide's plan; return its new entry."""
    import pyarrow as pa

    path = recipe.plan_path(entry.source)
    table = manifest.read_table(path)
    table = table.filter(pa.array(table["synthetic_frac"].to_numpy() > 0))
    count = table.num_rows
    numbers = np.arange(count, dtype=np.int32)
    for name, values in (("part", numbers // recipe.part), ("index", numbers % recipe.part)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, pa.int32()))
    shares = {
        name: float(table[manifest.fraction_column(name)].to_numpy().sum())
        for name in recipe.classes.names
    }
    before = manifest.read_table(path, [manifest.fraction_column(n) for n in recipe.classes.names])
    classes = {}
    for name, summary in entry.classes.items():
        total = float(before[manifest.fraction_column(name)].to_numpy().sum())
        left = summary.in_patches * shares[name] / total if total else 0.0
        classes[name] = summary.model_copy(update={"in_patches": left})
    entry = entry.model_copy(
        update={
            "status": "done" if count else "empty",
            "patches": count,
            "parts": -(-count // recipe.part),
            "classes": classes,
        }
    )
    columns = manifest.schema(recipe.info(entry))
    table = table.replace_schema_metadata(columns.metadata)
    manifest.write_table(path, table, recipe.staging)
    return entry
