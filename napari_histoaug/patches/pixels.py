"""Pixels of a grid: read from the nearest finer level, accepted edits in them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.edits import EditStore
from napari_histoaug.patches.geometry import Box
from napari_histoaug.patches.grid import Grid
from napari_histoaug.slides import Slide
from napari_histoaug.slides.resampling import area_mean

#: Largest side of one read, in pixels of the level; OpenSlide is exact only up to twice that.
_LARGEST_READ = 2048
_SAME = 1e-6


def read_pixels(
    slide: Slide, grid: Grid, box: Box, store: EditStore | None = None
) -> NDArray[np.uint8]:
    """Return pixels of a grid, area means where no level has them as they are.

    Parameters
    ----------
    slide : Slide
    grid : Grid
    box : (y, x, height, width)
        In grid pixels; white outside the slide. What a grid pixel is does not depend on the box.
    store : EditStore, optional
        Its edits are seen.

    Returns
    -------
    uint8 (height, width, 3)
    """
    y, x, height, width = box
    out = np.empty((height, width, 3), np.uint8)
    ratio = _ratio(slide, grid)
    for part in _parts(box, ratio):
        view = out[part[0] - y : part[0] - y + part[2], part[1] - x : part[1] - x + part[3]]
        view[:] = _read_part(slide, grid, part, ratio, store)
    return out


def read_validity(slide: Slide, grid: Grid, box: Box) -> NDArray[np.bool_]:
    """Return bool (height, width): where at least half of a grid pixel is in the file."""
    y, x, height, width = box
    out = np.empty((height, width), np.bool_)
    ratio = _ratio(slide, grid)
    for part in _parts(box, ratio):
        fine = slide.read_valid(grid.level, *_below(part, ratio))
        if ratio != (1.0, 1.0):
            origin = _below(part, ratio)[:2]
            fine = area_mean(fine[..., None], origin, ratio, part)[..., 0] >= 0.5
        out[part[0] - y : part[0] - y + part[2], part[1] - x : part[1] - x + part[3]] = fine
    return out


def level_box(slide: Slide, grid: Grid, box: Box) -> Box:
    """Return the pixels of the grid's level under some grid pixels, rounded out."""
    return _below(box, _ratio(slide, grid))


def _read_part(
    slide: Slide, grid: Grid, part: Box, ratio: tuple[float, float], store: EditStore | None
) -> NDArray[np.uint8]:
    below = _below(part, ratio)
    pixels = slide.read_block(grid.level, *below)
    if store is not None and store.edits:
        store.paste(pixels, below[0], below[1], slide.levels[grid.level].downsample)
    if ratio == (1.0, 1.0):
        return pixels
    mean = area_mean(pixels, below[:2], ratio, part)
    np.rint(mean, out=mean)
    return np.clip(mean, 0, 255, out=mean).astype(np.uint8)


def _ratio(slide: Slide, grid: Grid) -> tuple[float, float]:
    """Return level pixels a grid pixel, exactly 1 where they are the same."""
    level = slide.levels[grid.level].downsample
    y, x = (s / d for s, d in zip(grid.spacing, level, strict=True))
    return (_whole(y), _whole(x))


def _whole(ratio: float) -> float:
    """Return a whole number for what is one but for rounding: it is read faster, and exactly."""
    return float(round(ratio)) if abs(ratio - round(ratio)) < _SAME else ratio


def _below(box: Box, ratio: tuple[float, float]) -> Box:
    top, left = math.floor(box[0] * ratio[0]), math.floor(box[1] * ratio[1])
    bottom = math.ceil((box[0] + box[2]) * ratio[0] - _SAME)
    right = math.ceil((box[1] + box[3]) * ratio[1] - _SAME)
    return top, left, bottom - top, right - left


def _parts(box: Box, ratio: tuple[float, float]) -> Iterator[Box]:
    y, x, height, width = box
    down, across = (max(1, int(_LARGEST_READ / r) - 1 if r > 1 else _LARGEST_READ) for r in ratio)
    for top in range(y, y + height, down):
        for left in range(x, x + width, across):
            yield top, left, min(down, y + height - top), min(across, x + width - left)
