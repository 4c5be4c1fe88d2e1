"""Vendor formats through OpenSlide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide

from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.pixel_size import believable, from_number
from napari_histoaug.slides.reader import Reader, on_white
from napari_histoaug.slides.tiff_reader import TiffReader

_DEFAULT_TILE = 256


class OpenSlideReader:
    """One OpenSlide handle.

    OpenSlide addresses every level in whole level-0 pixels and divides by the mean of the
    two downsamples. A level whose downsample is a whole number is therefore read exactly. On
    other levels the nearest level-0 pixel is asked for, so the pixels come back interpolated at an
    offset of at most ``0.5 / downsample`` level pixels in each direction (0.25 for a downsample
    of about 2), which never accumulates across the level. Where the file is a plain tiled
    TIFF inside (`exact`), such levels are read from its own tiles instead, without any offset.

    Parameters
    ----------
    path : pathlib.Path
        The file to open (read only).
    exact : TiffReader, optional
        The same file as a TIFF with the same levels.

    Raises
    ------
    SlideError
        When OpenSlide cannot open it.
    """

    def __init__(self, path: Path, exact: TiffReader | None = None) -> None:
        self.path = path
        try:
            handle = openslide.OpenSlide(str(path))
        except openslide.OpenSlideError as error:
            raise SlideError(
                f"{path.name} looks like a slide but cannot be opened ({error}); "
                "copy it again from its source, it may be incomplete."
            ) from error
        self._handle: openslide.OpenSlide | None = handle
        properties = handle.properties
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "openslide")
        self._levels, self.shapes = _shrinking([(h, w) for w, h in handle.level_dimensions])
        # Asked for once: even these fail on a handle that has met an error.
        self._downsamples = handle.level_downsamples
        self.tile_shapes = tuple(_tile_shape(properties, level) for level in self._levels)
        self.mpp = believable(
            from_number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
            from_number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
        )
        self._background = _colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR))
        self._exact = exact if exact is not None and exact.shapes == self.shapes else None

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) from inside a level; see :class:`Reader`."""
        downsample = self._downsamples[self._levels[level]]
        if self._exact is not None and level > 0 and downsample != round(downsample):
            return self._exact.read(level, y, x, height, width)
        location = (round(x * downsample), round(y * downsample))
        handle = self._handle
        if handle is None:
            raise TileError("closed")
        try:
            image = handle.read_region(location, self._levels[level], (width, height))
        except openslide.OpenSlideError as error:
            raise TileError(str(error)) from error
        pixels = np.asarray(image)
        alpha = pixels[..., 3]
        if downsample != round(downsample):
            # At the edge of the tissue the interpolation made pixels half transparent.
            alpha = np.where(alpha >= 128, np.uint8(255), alpha)
        return on_white(pixels[..., :3], alpha, self._background)

    def reopen(self) -> Reader:
        """Return a new reader: OpenSlide refuses everything after its first error."""
        # The old handle is left to the garbage collector: another thread may be inside it.
        return OpenSlideReader(self.path, self._exact)

    def close(self) -> None:
        """Let go of the handle; it closes when the last thread has left it."""
        # Closing while another thread reads would crash inside OpenSlide.
        self._handle = None
        if self._exact is not None:
            self._exact.close()


def _tile_shape(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    height, width = (
        from_number(properties.get(f"openslide.level[{level}].tile-{side}"))
        for side in ("height", "width")
    )
    return int(height or _DEFAULT_TILE), int(width or _DEFAULT_TILE)


def _shrinking(
    shapes: list[tuple[int, int]],
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Keep the levels that are smaller than every one before them (some DICOM repeat levels)."""
    kept = [0]
    for index, (height, width) in enumerate(shapes[1:], start=1):
        last = shapes[kept[-1]]
        if 0 < height <= last[0] and 0 < width <= last[1] and (height, width) != last:
            kept.append(index)
    return tuple(kept), tuple(shapes[index] for index in kept)


def _colour(text: str | None) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text or "FFFFFF")
    except ValueError:
        return 255, 255, 255
    return red, green, blue
