"""Vendor formats through OpenSlide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide

from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.handles import Handle, renew, shared_handle
from napari_histoaug.slides.pixel_size import believable, from_number
from napari_histoaug.slides.reader import Box, Reader, on_background, pieces
from napari_histoaug.slides.shared_caches import openslide_cache

_DEFAULT_TILE = 256
_USED = re.compile(
    r"openslide\.(vendor|mpp-[xy]|background-color|bounds-\w+|level\[\d+\]\.tile-\w+)"
)
#: OpenSlide gives other pixels for reads of 4096 and more on lower levels, so stay well below.
_LARGEST_READ = 2048


class OpenSlideReader:
    """A file through OpenSlide.

    OpenSlide addresses every level in whole level-0 pixels and divides by the mean of the
    two downsamples. A level whose downsample is a whole number is therefore read exactly. On
    other levels the nearest level-0 pixel is asked for, so the pixels come back interpolated at an
    offset of at most ``0.5 / downsample`` level pixels in each direction (0.25 for a downsample
    of about 2), which never accumulates across the level.

    Parameters
    ----------
    path : pathlib.Path
        The file to open (read only).
    own : bool
        Through a handle of its own instead of the one that this process shares.

    Raises
    ------
    SlideError
        When OpenSlide cannot open it.
    """

    def __init__(self, path: Path, own: bool = False) -> None:
        self.path = path
        try:
            handle = Handle(_Opened(path)) if own else shared_handle(path, _Opened)
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(
                f"{path.name} looks like a slide but cannot be opened ({error}); "
                "copy it again from its source, it may be incomplete."
            ) from error
        self._handle: Handle[_Opened] | None = handle
        opened = handle.current
        properties = opened.properties
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "openslide")
        self._levels, self.shapes = _shrinking(opened.shapes)
        self._downsamples = opened.downsamples
        self.tile_shapes = tuple(_tile_shape(properties, level) for level in self._levels)
        self.mpp = believable(
            from_number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
            from_number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
        )
        self.background = _colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR))
        self.bounds = _bounds(properties)

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) from inside a level; see :class:`Reader`."""
        out = np.empty((height, width, 3), np.uint8)
        for top, left, rows, columns in pieces((y, x, height, width), _LARGEST_READ, _LARGEST_READ):
            pixels = self._read_region(level, top, left, rows, columns)
            alpha = pixels[..., 3]
            if self._interpolates(level):
                # At the edge of the tissue the interpolation made pixels half transparent.
                alpha = np.where(alpha >= 128, np.uint8(255), alpha)
            out[top - y : top - y + rows, left - x : left - x + columns] = on_background(
                pixels[..., :3], alpha, self.background
            )
        return out

    def read_valid(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return bool (height, width): where the slide is not wholly transparent."""
        out = np.empty((height, width), np.bool_)
        least = 128 if self._interpolates(level) else 1
        for top, left, rows, columns in pieces((y, x, height, width), _LARGEST_READ, _LARGEST_READ):
            alpha = self._read_region(level, top, left, rows, columns)[..., 3]
            out[top - y : top - y + rows, left - x : left - x + columns] = alpha >= least
        return out

    def icc_profile(self) -> bytes | None:
        """Return the colour profile OpenSlide found."""
        try:
            profile = self._open_slide().color_profile
        except openslide.OpenSlideError as error:
            raise TileError(str(error)) from error
        return None if profile is None else profile.tobytes()

    def reopen(self, own: bool) -> Reader:
        """Return another reader of the same file; see :class:`Reader`."""
        return OpenSlideReader(self.path, own)

    def share(self) -> None:
        """Let every reader of the file use this one's handle from now on.

        OpenSlide refuses everything after its first error.
        """
        # The old handle is left to the garbage collector: another thread may be inside it.
        handle = self._handle
        if handle is not None:
            renew(self.path, _Opened, handle.current)

    def close(self) -> None:
        """Let go of the handle; it closes when its last reader has and no thread is in it."""
        # Closing while another thread reads would crash inside OpenSlide.
        self._handle = None

    def _interpolates(self, level: int) -> bool:
        downsample = self._downsamples[self._levels[level]]
        return bool(downsample != round(downsample))

    def _read_region(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 4) with straight alpha."""
        downsample = self._downsamples[self._levels[level]]
        slide = self._open_slide()
        location = (round(x * downsample), round(y * downsample))
        try:
            image = slide.read_region(location, self._levels[level], (width, height))
        except openslide.OpenSlideError as error:
            raise TileError(str(error)) from error
        return np.asarray(image)

    def _open_slide(self) -> openslide.OpenSlide:
        handle = self._handle
        if handle is None:
            raise TileError("closed")
        return handle.current.slide


class _Opened:
    """A handle of OpenSlide, and what has to be asked of it before it meets an error."""

    def __init__(self, path: Path) -> None:
        self.slide = openslide.OpenSlide(str(path))
        self.slide.set_cache(openslide_cache())
        # No more than is used: the others may name a patient.
        properties = self.slide.properties
        self.properties = {
            # Of a damaged file some have a name but no value.
            name: properties.get(name, "")
            for name in properties
            if _USED.fullmatch(name)
        }
        self.shapes = [(height, width) for width, height in self.slide.level_dimensions]
        self.downsamples = self.slide.level_downsamples


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


def _bounds(properties: Mapping[str, str]) -> Box | None:
    names = (
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
    )
    try:
        y, x, height, width = (int(properties[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return (y, x, height, width) if height > 0 and width > 0 else None


def _colour(text: str | None) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text or "FFFFFF")
    except ValueError:
        return 255, 255, 255
    return red, green, blue
