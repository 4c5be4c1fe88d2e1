"""Pixel size and colour profile as TIFF tags and OME-XML state them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import tifffile

from napari_histoaug.slides.pixel_size import believable, from_length, from_number

_MICROMETRES_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0, 4: 1_000.0, 5: 1.0}
_ICC_PROFILE = 34675
_LARGEST_PROFILE = 64 * 2**20


def ome_pixel_size(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return (y, x) micrometres of OME PhysicalSize, None without a believable one."""
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


def resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Return (y, x) micrometres of the resolution tags, None without believable ones."""
    unit = _MICROMETRES_PER_RESOLUTION_UNIT.get(int(page.resolutionunit or 1))
    if unit is None:
        return None
    sides: Sequence[float | None] = [
        unit / value if value else None for value in (page.resolution[1], page.resolution[0])
    ]
    return believable(*sides)


def icc_location(page: tifffile.TiffPage) -> tuple[int, int] | None:
    """Return (offset, bytes) of the colour profile, which is read only when asked for."""
    tag = page.tags.get(_ICC_PROFILE)
    if tag is None or not 128 <= tag.count <= _LARGEST_PROFILE:
        return None
    return int(tag.valueoffset), int(tag.count)
