"""Where tissue is: colour, density or texture; holes filled; and wherever an expert drew.

Thresholds on colour alone delete fat and lumina, which are white; here they survive three times:
their texture counts, holes up to a physical size are filled, and annotations are always tissue.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histoaug.patches.geometry import Box
from napari_histoaug.patches.grid import Grid
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.pixels import read_pixels, read_validity
from napari_histoaug.patches.settings import PatchSettings, TissueSettings
from napari_histoaug.slides import Slide

_BLOCK = 512
#: Cells are divided so often along each axis to measure annotated areas.
_FINE = 4
_LEVELS = 16
_WINDOW = 5
_DARKEST_WHITE, _WHITE = 200, 250


class ClassArea(NamedTuple):
    """What the tissue rule does to one class.

    Attributes
    ----------
    name : str
    area : float
        Annotated area in square micrometres (square pixels of level 0 without a pixel size).
    lost_by_rule : float
        Of it, the area that colour, density and texture call background.
    lost : float
        The area that is lost in the end, after the annotations were united with the rule.
    """

    name: str
    area: float
    lost_by_rule: float
    lost: float


class Tissue(NamedTuple):
    """The tissue of a slide.

    Attributes
    ----------
    cells : Grid
        The grid of the mask.
    factor : int
        Side of a cell in pixels of the patch grid.
    mask : bool (H, W)
    touched : bool (classes, H, W)
        Cells that each class touches.
    areas : tuple of ClassArea
    thumbnail : uint8 (H, W, 3)
        The slide at the grid of the mask.
    """

    cells: Grid
    factor: int
    mask: NDArray[np.bool_]
    touched: NDArray[np.bool_]
    areas: tuple[ClassArea, ...]
    thumbnail: NDArray[np.uint8]


def find_tissue(slide: Slide, grid: Grid, labels: Labels, settings: PatchSettings) -> Tissue:
    """Find the tissue of a slide at a coarse level.

    Parameters
    ----------
    slide : Slide
    grid : Grid
        Of the patches.
    labels : Labels
    settings : PatchSettings

    Returns
    -------
    Tissue
    """
    factor = cell_factor(grid, settings)
    cells = grid.coarser(slide, factor)
    image, valid = _thumbnail(slide, cells)
    side = _mean_side(cells)
    rule = tissue_mask(image, valid, settings.tissue, side)
    touched = np.zeros((len(labels.classes), *cells.shape), bool)
    amounts = np.zeros((len(labels.classes), *cells.shape), np.uint8)
    if not labels.empty:
        _place_classes(labels, cells, touched, amounts)
        touched |= amounts > 0
    mask = rule | touched.any(axis=0)
    unit = side**2 / _FINE**2
    areas = tuple(
        ClassArea(
            name,
            float(amount.sum(dtype=np.int64)) * unit,
            float(amount[~rule].sum(dtype=np.int64)) * unit,
            float(amount[~mask].sum(dtype=np.int64)) * unit,
        )
        for name, amount in zip(labels.classes.names, amounts, strict=True)
    )
    return Tissue(cells, factor, mask, touched, areas, image)


def cell_factor(grid: Grid, settings: PatchSettings) -> int:
    """Return the side of a tissue cell in grid pixels.

    The largest that is at most `settings.tissue.cell`, and that divides size and stride if one
    at least half as large does: then the edges of patches are edges of cells.
    """
    pixel = 1.0 if grid.mpp is None else math.sqrt(grid.mpp[0] * grid.mpp[1])
    # Without a pixel size a cell of 8 µm is as if the slide had been scanned at 0.5 µm.
    wanted = settings.tissue.cell / pixel if grid.mpp else settings.tissue.cell * 2
    most = max(1, min(int(wanted * 1.05), settings.size))
    common = math.gcd(settings.size, settings.stride)
    divisors = [n for n in range(1, most + 1) if common % n == 0]
    return divisors[-1] if 2 * divisors[-1] >= most else most


def tissue_mask(
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    settings: TissueSettings,
    side: float,
) -> NDArray[np.bool_]:
    """Tell tissue from glass by saturation, optical density or local entropy.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    valid : bool (H, W)
        Pixels that the file holds; the others are never tissue.
    settings : TissueSettings
    side : float
        Micrometres a pixel (or pixels of level 0, where the slide has no pixel size).

    Returns
    -------
    bool (H, W)
    """
    white = _white_of(image, valid)
    colour = np.minimum(image.astype(np.float32) / white, 1.0)
    brightest = colour.max(axis=2)
    saturated = brightest - colour.min(axis=2) >= settings.saturation * np.maximum(brightest, 1e-3)
    density = -np.log(np.maximum(colour, 8 / 255)).mean(axis=2)
    dense = density >= settings.density
    # Neither of the two sees a line thinner than a cell, as between fat cells; texture does.
    mask = saturated | dense | (local_entropy(image) >= settings.entropy)
    mask &= valid
    mask = ndimage.median_filter(mask.astype(np.uint8), 3) > 0
    mask = _closed(mask, settings.close / side)
    mask = _without_small(mask, settings.speck_area / side**2)
    mask = ~_without_small(~mask, settings.hole_area / side**2, but_at_the_border=True)
    return np.asarray(mask & valid)


def local_entropy(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the entropy of 16 grey values in 5 x 5 pixels, in bits: float32 (H, W)."""
    grey = image.astype(np.uint16).sum(axis=2) * _LEVELS // (3 * 256)
    out = np.zeros(grey.shape, np.float32)
    for value in np.unique(grey):
        share = ndimage.uniform_filter((grey == value).astype(np.float32), _WINDOW)
        # The filter's running sums leave tiny negatives.
        np.maximum(share, 1e-6, out=share)
        out -= share * np.log2(share)
    return out


def _white_of(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the colour of the glass, float32 (3,): the mode of the brightest pixels."""
    pixels = image[valid]
    if not len(pixels):
        return np.full(3, _WHITE, np.float32)
    grey = pixels.min(axis=1)
    bright = pixels[grey >= _DARKEST_WHITE]
    # Without enough glass in view, whatever is brightest may be pale tissue.
    if len(bright) < max(100, len(pixels) // 200):
        return np.full(3, _WHITE, np.float32)
    return np.percentile(bright, 75, axis=0).astype(np.float32)


def _closed(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    if radius < 1 or not mask.any():
        return mask
    grown = ndimage.distance_transform_edt(~mask) <= radius
    if grown.all():
        return grown
    return np.asarray(mask | (ndimage.distance_transform_edt(grown) > radius))


def _without_small(
    mask: NDArray[np.bool_], least: float, but_at_the_border: bool = False
) -> NDArray[np.bool_]:
    """Drop the pieces with less area than `least`; those at the border may be kept."""
    parts, count = ndimage.label(mask)
    keep = np.bincount(parts.ravel(), minlength=count + 1) >= least
    if but_at_the_border:
        for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
            keep[edge] = True
    keep[0] = False
    return np.asarray(keep[parts])


def _thumbnail(slide: Slide, cells: Grid) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = np.empty((*cells.shape, 3), np.uint8)
    valid = np.empty(cells.shape, np.bool_)
    for box in _blocks(cells.shape):
        view = (slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3]))
        image[view] = read_pixels(slide, cells, box)
        valid[view] = read_validity(slide, cells, box)
    return image, valid


def _place_classes(
    labels: Labels, cells: Grid, touched: NDArray[np.bool_], amounts: NDArray[np.uint8]
) -> None:
    """Fill in which cells each class touches, and how many sixteenths of them it covers."""
    fine = Grid(
        (cells.shape[0] * _FINE, cells.shape[1] * _FINE),
        (cells.spacing[0] / _FINE, cells.spacing[1] / _FINE),
        cells.level,
        None,
    )
    for box in _blocks(cells.shape):
        y, x, height, width = box
        view = (slice(None), slice(y, y + height), slice(x, x + width))
        touched[view] = labels.touched(cells, box)
        if not touched[view].any():
            continue
        mask = labels.mask(fine, (y * _FINE, x * _FINE, height * _FINE, width * _FINE))
        parts = mask.reshape(height, _FINE, width, _FINE)
        for index in range(len(labels.classes)):
            amounts[index, view[1], view[2]] = (parts == index + 1).sum(axis=(1, 3))


def _blocks(shape: tuple[int, int]) -> list[Box]:
    return [
        (y, x, min(_BLOCK, shape[0] - y), min(_BLOCK, shape[1] - x))
        for y in range(0, shape[0], _BLOCK)
        for x in range(0, shape[1], _BLOCK)
    ]


def _mean_side(cells: Grid) -> float:
    return math.sqrt(math.prod(cells.mpp or cells.spacing))
