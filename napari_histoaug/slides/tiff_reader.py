"""(OME-)TIFF through tifffile, tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.errors import SlideError, TileError
from napari_histoaug.slides.pixel_size import believable, from_length, from_number
from napari_histoaug.slides.reader import Reader, on_white
from napari_histoaug.slides.tiff_levels import Page, TiffLevel, find_levels

_CACHE_BYTES = 64 * 2**20
_MICROMETRES_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0, 4: 1_000.0, 5: 1.0}


class TiffReader:
    """One TIFF, tiled or in strips, as levels of RGB.

    Pixels are the stored ones, exactly, at every level. Grey becomes three equal channels,
    white-is-zero grey is inverted, alpha is composited on white, and tiles the file leaves out
    (no bytes) are white. Everything else that is not 8-bit RGB is refused with a sentence.

    Parameters
    ----------
    path : pathlib.Path
        The file to open (read only).

    Raises
    ------
    SlideError
        When it is not a TIFF of 8-bit RGB or grey pixels.
    """

    vendor = "tiff"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            # Under a plain name, because tifffile would believe the ending of the real one.
            tiff = tifffile.TiffFile(self._file, name="slide.tif")
            self._levels: list[TiffLevel] = find_levels(tiff, path)
        except (tifffile.TiffFileError, ValueError, OSError, KeyError, IndexError) as error:
            raise SlideError(
                f"{path.name} is a damaged TIFF ({error}); copy it again from its source."
            ) from error
        self.shapes = tuple(level.shape for level in self._levels)
        self.tile_shapes = tuple(level.tile_shape for level in self._levels)
        self.is_ome = bool(tiff.is_ome)
        self.mpp = _ome_pixel_size(tiff) or _resolution(self._levels[0].page)
        self._file_lock = threading.Lock()
        self._tiles = ArrayCache(_CACHE_BYTES)

    @property
    def levels_with_gaps(self) -> frozenset[int]:
        """Levels in which at least one tile has no bytes."""
        return frozenset(i for i, level in enumerate(self._levels) if level.has_gaps)

    def read(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (height, width, 3) from inside a level; see :class:`Reader`."""
        tile_height, tile_width = self._levels[level].tile_shape
        out = np.full((height, width, 3), 255, np.uint8)
        for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
            for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
                tile = self._tile(level, row, column)
                top, left = row * tile_height, column * tile_width
                y0, y1 = max(y, top), min(y + height, top + tile.shape[0])
                x0, x1 = max(x, left), min(x + width, left + tile.shape[1])
                if y0 < y1 and x0 < x1:
                    out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[
                        y0 - top : y1 - top, x0 - left : x1 - left
                    ]
        return out

    def reopen(self) -> Reader:
        """Return a new reader of the same file."""
        return TiffReader(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _tile(self, level: int, row: int, column: int) -> np.ndarray:
        return self._tiles.get(
            (level, row, column), lambda: self._decode(self._levels[level], row, column)
        )

    def _decode(self, level: TiffLevel, row: int, column: int) -> np.ndarray:
        planes = [
            self._segment(level, page, level.segment_index(plane, row, column))
            for page, plane in level.planes
        ]
        missing = [plane is None for plane in planes]
        if any(missing):
            if not all(missing):
                raise TileError("one colour channel of this tile has no bytes")
            return np.full((*level.tile_shape, 3), 255, np.uint8)
        pixels = np.concatenate([plane for plane in planes if plane is not None], axis=-1)
        if level.inverted:
            pixels = 255 - pixels
        if pixels.shape[-1] == 1:
            return np.repeat(pixels, 3, axis=-1)
        if level.alpha is None or pixels.shape[-1] == 3:
            return np.ascontiguousarray(pixels[..., :3])
        rgb, alpha = pixels[..., :3], pixels[..., 3]
        if level.alpha == "associated":
            return np.minimum(rgb.astype(np.uint16) + (255 - alpha)[..., None], 255).astype(
                np.uint8
            )
        return on_white(rgb, alpha, (255, 255, 255))

    def _segment(self, level: TiffLevel, page: Page, index: int) -> np.ndarray | None:
        """Decode one stored tile or strip to (height, width, samples); None when it is empty."""
        count = page.databytecounts[index]
        if count == 0:
            return None
        try:
            with self._file_lock:
                self._file.seek(page.dataoffsets[index])
                data = self._file.read(count)
            if len(data) < count:
                raise TileError("the file ends inside this tile")
            segment, _, _ = level.page.decode(data, index, jpegtables=page.jpegtables)
        # imagecodecs raises subclasses of RuntimeError, one a codec.
        except (RuntimeError, ValueError, OSError, NotImplementedError) as error:
            raise TileError(str(error) or type(error).__name__) from error
        return None if segment is None else segment[0]


def _ome_pixel_size(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None
    sides = []
    for axis in "YX":
        value = from_number(pixels.get(f"PhysicalSize{axis}"))
        unit = pixels.get(f"PhysicalSize{axis}Unit")
        sides.append(None if value is None else from_length(value, unit))
    return believable(*sides)


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    unit = _MICROMETRES_PER_RESOLUTION_UNIT.get(int(page.resolutionunit or 1))
    if unit is None:
        return None
    sides: Sequence[float | None] = [
        unit / value if value else None for value in (page.resolution[1], page.resolution[0])
    ]
    return believable(*sides)
