"""The rows of one slide's plan: divided into parts, and as columns of a manifest."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug import __version__
from napari_histoaug.annotations import ClassTable
from napari_histoaug.patches import manifest
from napari_histoaug.patches.grid import TILE
from napari_histoaug.patches.manifest import ClassSummary, SlideEntry
from napari_histoaug.patches.plan import PatchPlan
from napari_histoaug.patches.reading import tile_boxes
from napari_histoaug.patches.recipe import Recipe
from napari_histoaug.slides import Slide

if TYPE_CHECKING:
    import pyarrow as pa


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


def class_summaries(plan: PatchPlan, classes: ClassTable) -> dict[str, ClassSummary]:
    """Return what is known of every class after a plan, by name."""
    unit = float(np.prod(plan.grid.mpp or plan.grid.spacing))
    pairs = zip(classes.names, plan.areas, plan.class_pixels, strict=True)
    return {
        name: ClassSummary(
            area=a.area, lost_by_rule=a.lost_by_rule, lost=a.lost, in_patches=unit * int(n.sum())
        )
        for name, a, n in pairs
    }


def table_of(
    slide: Slide,
    plan: PatchPlan,
    entry: SlideEntry,
    recipe: Recipe,
    parts: np.ndarray,
    indices: np.ndarray,
) -> pa.Table:
    """Return a plan as the columns of a manifest; `parts` and `indices` from :func:`cut_parts`."""
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


def facts_of(table: pa.Table, classes: ClassTable) -> list[dict[str, Any]]:
    """Return what a written form says of each patch."""
    names = ["slide_id", "y", "x", "row", "column", "mpp_y", "mpp_x", "tissue_frac"]
    names += [manifest.fraction_column(name) for name in classes.names] + ["synthetic_frac"]
    return list(table.select(names).to_pylist())
