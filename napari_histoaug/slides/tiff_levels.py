"""Which pages of a TIFF are the levels of the slide, and how their pixels are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from napari_histoaug.slides.errors import SlideError

_LARGEST_TILE_BYTES = 2**30
_GREY_INVERTED, _GREY, _RGB, _YCBCR = 0, 1, 2, 6
#: JPEG and JPEG 2000, whose decoders turn YCbCr into RGB.
_DECODES_YCBCR = {6, 7, 34712, 33005}

Page = tifffile.TiffPage | tifffile.TiffFrame


@dataclass(frozen=True)
class TiffLevel:
    """One level.

    Attributes
    ----------
    shape : (height, width)
        Pixels.
    tile_shape : (height, width)
        The stored tile or strip.
    page : tifffile.TiffPage
        The page whose tags describe the level.
    planes : tuple of (page, plane)
        Where the samples are: one page with all of them, or one entry a channel.
    inverted : bool
        Zero is white.
    alpha : {"straight", "associated"} or None
        Meaning of the fourth sample; None drops it.
    """

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    page: tifffile.TiffPage
    planes: tuple[tuple[Page, int], ...]
    inverted: bool
    alpha: Literal["straight", "associated"] | None

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of stored tiles in one plane."""
        (height, width), (tile_height, tile_width) = self.shape, self.tile_shape
        return -(-height // tile_height), -(-width // tile_width)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether some stored tile has no bytes."""
        return any(0 in page.databytecounts for page, _ in self.planes)

    def segment_index(self, plane: int, row: int, column: int) -> int:
        """Return the index of a tile in the page's offset list."""
        rows, columns = self.grid
        return (plane * rows + row) * columns + column


def find_levels(tiff: tifffile.TiffFile, path: Path) -> list[TiffLevel]:
    """Return the levels of the first image of a TIFF, finest first.

    Raises
    ------
    SlideError
        When the image is not one plane of 8-bit RGB or grey.
    """
    if not tiff.series:
        raise SlideError(f"{path.name} contains no image; choose another file.")
    series = tiff.series[0]
    levels = [_level(level, path) for level in series.levels]
    if len(levels) == 1 and series.axes == "YXS":
        levels += [_level(other, path) for other in tiff.series[1:] if _continues(series, other)]
    kept = levels[:1]
    for level in levels[1:]:
        if level.shape[0] < kept[-1].shape[0] and level.shape[1] < kept[-1].shape[1]:
            kept.append(level)
    return kept


def _continues(first: tifffile.TiffPageSeries, other: tifffile.TiffPageSeries) -> bool:
    """Tell whether an image looks like a smaller copy of the first (pyramids without flags)."""
    same_kind = (other.axes, other.dtype, other.keyframe.is_tiled) == (
        first.axes,
        first.dtype,
        True,
    )
    if not same_kind:
        return False
    ratio_y, ratio_x = (first.shape[i] / other.shape[i] for i in (0, 1))
    return ratio_y > 1 and abs(ratio_y - ratio_x) < 0.02 * ratio_y


def _level(series: tifffile.TiffPageSeries, path: Path) -> TiffLevel:
    page = series.keyframe
    pages = [p for p in series.pages if p is not None]
    if series.axes in {"YX", "YXS"} and len(pages) == 1:
        planes: tuple[tuple[Page, int], ...] = ((pages[0], 0),)
    elif series.axes == "SYX" and len(pages) == 1 and page.planarconfig == 2:
        planes = tuple((pages[0], plane) for plane in range(min(page.samplesperpixel, 3)))
    elif series.axes == "CYX" and len(pages) == 3 and page.samplesperpixel == 1:
        planes = tuple((p, 0) for p in pages)
    else:
        raise SlideError(
            f"{path.name} holds an image stack (axes {series.axes}, {series.shape}), not one RGB "
            "image; export one plane as 8-bit RGB."
        )
    _check_pixels(page, path)
    tile = (
        (page.tilelength, page.tilewidth)
        if page.is_tiled
        else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
    )
    _check_sides(page.imagelength, page.imagewidth, tile, path)
    return TiffLevel(
        shape=(page.imagelength, page.imagewidth),
        tile_shape=tile,
        page=page,
        planes=planes,
        inverted=page.photometric == _GREY_INVERTED,
        alpha=_alpha(page),
    )


def _check_sides(height: int, width: int, tile: tuple[int, int], path: Path) -> None:
    if min(height, width, *tile) < 1:
        raise SlideError(
            f"{path.name} is damaged: it claims {height} x {width} pixels in tiles of {tile[0]} x "
            f"{tile[1]}; copy it again from its source."
        )
    if tile[0] * tile[1] * 3 > _LARGEST_TILE_BYTES:
        raise SlideError(
            f"{path.name} stores pieces of {tile[0]} x {tile[1]} pixels, too large to read one by "
            "one; convert it to a tiled TIFF."
        )


def _check_pixels(page: tifffile.TiffPage, path: Path) -> None:
    if page.dtype != np.uint8 or page.bitspersample != 8:
        raise SlideError(
            f"{path.name} stores {page.bitspersample} bits a channel; only 8-bit brightfield "
            "images can be used, so convert it to 8-bit RGB with the window you want."
        )
    samples = {_GREY_INVERTED: {1}, _GREY: {1}, _RGB: {3, 4}, _YCBCR: {3}}.get(
        page.photometric, set()
    )
    ycbcr_kept = page.photometric == _YCBCR and page.compression not in _DECODES_YCBCR
    if page.samplesperpixel not in samples or ycbcr_kept:
        name = getattr(page.photometric, "name", page.photometric)
        raise SlideError(
            f"{path.name} stores colours as {name} with {page.samplesperpixel} samples a pixel, "
            "which cannot be shown faithfully; convert it to 8-bit RGB."
        )


def _alpha(page: tifffile.TiffPage) -> Literal["straight", "associated"] | None:
    kinds = tuple(int(kind) for kind in page.extrasamples or ())
    if kinds[:1] == (1,):
        return "associated"
    return "straight" if kinds[:1] == (2,) else None
