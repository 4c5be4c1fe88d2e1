"""Which patches a slide has, exactly: counted in whole pixels, in a fixed order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histoaug.annotations.areas import SummedAreas
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.grid import TILE, Grid, origins, patch_grid, tile_groups, tile_order
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.patches.tissue import ClassArea, Tissue, find_tissue
from napari_histoaug.slides import Slide

Positions = NDArray[np.int64]


class PatchPlan(NamedTuple):
    """The patches of one slide, tile by tile of the grid.

    Attributes
    ----------
    grid : Grid
    rows, columns : int64 (n,)
        Top left corners in grid pixels.
    tissue_cells : int64 (n,)
        Cells of tissue in each patch, of ``cells`` int64 (n,).
    cells : int64 (n,)
    class_pixels : int64 (classes, n)
        Grid pixels of each class, of ``size ** 2``.
    synthetic_pixels : int64 (n,)
        Grid pixels that hold generated ones.
    areas : tuple of ClassArea
        What the tissue rule does to each class.
    thumbnail : uint8 (H, W, 3)
    """

    grid: Grid
    rows: Positions
    columns: Positions
    tissue_cells: Positions
    cells: Positions
    class_pixels: NDArray[np.int64]
    synthetic_pixels: Positions
    areas: tuple[ClassArea, ...]
    thumbnail: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)


def plan_patches(
    slide: Slide, labels: Labels, settings: PatchSettings, tile: int = TILE
) -> PatchPlan:
    """Choose the patches of a slide.

    A patch is chosen when ``100 * tissue >= tissue_percent * all``, in cells of the tissue mask
    whose centre lies in it, and when ``100 * n >= target_percent * size ** 2`` for the pixels n
    of one target class at least, at the resolution of the patch. Both are compared in integers.

    Parameters
    ----------
    slide : Slide
    labels : Labels
    settings : PatchSettings
    tile : int
        Side of the blocks in which classes are counted; it changes nothing but memory and speed.

    Returns
    -------
    PatchPlan

    Raises
    ------
    PatchError
        When a target class is not in the class table, or the slide does not have the pixel size.
    """
    targets = _target_indices(labels, settings)
    grid = patch_grid(slide, settings)
    tissue = find_tissue(slide, grid, labels, settings)
    rows, columns = _candidates(grid, settings)
    counts, cells = _tissue_counts(tissue, rows, columns, settings.size)
    keep = 100 * counts >= settings.tissue_percent * cells
    bounds = _class_bounds(tissue, rows, columns, settings.size)
    keep &= _enough(bounds[targets], settings)
    rows, columns, counts, cells = (a[keep] for a in (rows, columns, counts, cells))
    pixels = _class_counts(grid, labels, rows, columns, settings.size, bounds[:, keep], tile)
    keep = _enough(pixels[targets], settings)
    order = np.flatnonzero(keep)[tile_order(rows[keep], columns[keep])]
    rows, columns, counts, cells = (a[order] for a in (rows, columns, counts, cells))
    synthetic = _synthetic_counts(grid, labels, rows, columns, settings.size, tile)
    return PatchPlan(
        grid, rows, columns, counts, cells, pixels[:, order], synthetic, tissue.areas,
        tissue.thumbnail,
    )  # fmt: skip


def _target_indices(labels: Labels, settings: PatchSettings) -> list[int]:
    if settings.targets is None:
        return list(range(len(labels.classes)))
    if not settings.targets:
        raise PatchError("The list of target classes is empty; leave it out to take all classes.")
    return [labels.classes.index_of(name) for name in settings.targets]


def _enough(pixels: NDArray[np.int64], settings: PatchSettings) -> NDArray[np.bool_]:
    return np.asarray((100 * pixels >= settings.target_percent * settings.size**2).any(axis=0))


def _candidates(grid: Grid, settings: PatchSettings) -> tuple[Positions, Positions]:
    down, across = (
        origins(length, settings.size, settings.stride, settings.border) for length in grid.shape
    )
    rows, columns = np.meshgrid(down, across, indexing="ij")
    return rows.ravel(), columns.ravel()


def _tissue_counts(
    tissue: Tissue, rows: Positions, columns: Positions, size: int
) -> tuple[Positions, Positions]:
    """Count tissue cells, and all cells, whose centres lie in each patch."""
    c = tissue.factor
    # The centre of cell i is (i + 1/2) c; -(-a // b) rounds a / b up.
    top, bottom = (-(-(2 * at - c) // (2 * c)) for at in (rows, rows + size))
    left, right = (-(-(2 * at - c) // (2 * c)) for at in (columns, columns + size))
    sums = SummedAreas(tissue.mask[None])
    found = sums.counts(top, left, bottom - top, right - left)[0]
    return found, (bottom - top) * (right - left)


def _class_bounds(
    tissue: Tissue, rows: Positions, columns: Positions, size: int
) -> NDArray[np.int64]:
    """Return more pixels of each class than a patch can have: int64 (classes, n)."""
    c = tissue.factor
    bounds = np.zeros((len(tissue.touched), len(rows)), np.int64)
    top, bottom = rows // c, -(-(rows + size) // c)
    left, right = columns // c, -(-(columns + size) // c)
    for bound, touched in zip(bounds, tissue.touched, strict=True):
        if touched.any():
            # One cell more all around: rounding shall never reject what has enough.
            wider = ndimage.binary_dilation(touched, np.ones((3, 3), bool))
            bound[:] = SummedAreas(wider[None]).counts(top, left, bottom - top, right - left)[0]
    return bounds * c**2


def _class_counts(
    grid: Grid,
    labels: Labels,
    rows: Positions,
    columns: Positions,
    size: int,
    bounds: NDArray[np.int64],
    tile: int,
) -> NDArray[np.int64]:
    """Count the pixels of each class in each patch, int64 (classes, n)."""
    counts = np.zeros(bounds.shape, np.int64)
    some = np.flatnonzero(bounds.any(axis=0))
    for group in tile_groups(rows[some], columns[some], tile):
        at = some[group]
        y, x, height, width = bounding_box(rows[at], columns[at], size)
        mask = labels.mask(grid, (y, x, height, width))
        for value in np.flatnonzero(np.bincount(mask.ravel())):
            if value:
                sums = SummedAreas((mask == value)[None])
                counts[value - 1, at] = sums.counts(rows[at] - y, columns[at] - x, size, size)[0]
    return counts


def _synthetic_counts(
    grid: Grid, labels: Labels, rows: Positions, columns: Positions, size: int, tile: int
) -> Positions:
    counts = np.zeros(len(rows), np.int64)
    if labels.edited:
        for at in tile_groups(rows, columns, tile):
            y, x, height, width = bounding_box(rows[at], columns[at], size)
            sums = SummedAreas(labels.synthetic(grid, (y, x, height, width))[None])
            counts[at] = sums.counts(rows[at] - y, columns[at] - x, size, size)[0]
    return counts


def bounding_box(rows: Positions, columns: Positions, size: int) -> tuple[int, int, int, int]:
    """Return the box (y, x, height, width) around patches."""
    y, x = int(rows.min()), int(columns.min())
    return y, x, int(rows.max()) + size - y, int(columns.max()) + size - x
