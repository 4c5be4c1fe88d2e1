"""From a path to a slide, or to one sentence that says why not."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import openslide

from napari_histoaug.slides import pixel_size
from napari_histoaug.slides.dicom import check_dicom
from napari_histoaug.slides.errors import PixelError, SlideError, TileError
from napari_histoaug.slides.mirax import check_mirax
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.reader import Reader
from napari_histoaug.slides.self_check import disagreement
from napari_histoaug.slides.slide import Slide
from napari_histoaug.slides.tiff_reader import Facts, TiffReader
from napari_histoaug.slides.tiff_structure import TiffStructure, inspect_tiff, is_tiff

#: OpenSlide formats that are plain tiled TIFF inside, which we decode ourselves.
_PLAIN_INSIDE = {"aperio", "generic-tiff", "philips"}
_DICOM = b"DICM"
#: Endings of vendors' files, each with the format one expects in it.
ENDINGS = {
    ".svs": "aperio", ".ndpi": "hamamatsu", ".mrxs": "mirax", ".scn": "leica", ".bif": "ventana",
    ".czi": "zeiss", ".vms": "hamamatsu", ".vmu": "hamamatsu", ".svslide": "sakura",
    ".dcm": "dicom",
}  # fmt: skip


def open_slide(
    path: str | os.PathLike[str],
    mpp: float | Sequence[float] | None = None,
    window: tuple[float, float] | None = None,
    color_space: Literal["raw", "srgb"] = "raw",
) -> Slide:
    """Open a slide for reading; the format is recognised by content, not by the file's ending.

    Parameters
    ----------
    path : path-like
        A file OpenSlide knows, an (OME-)TIFF, an OME-Zarr folder, or the http(s):// or s3://
        address of one.
    mpp : float or (y, x), optional
        Micrometres per pixel of level 0, overriding what the file says. By default the vendor's
        value, then OME PhysicalSize, then the TIFF resolution; absurd ones are not believed.
    window : (low, high), optional
        For TIFFs of 16 bits a channel: the values to show as 0 and 255. Without it they are
        refused. Recorded in `Slide.notes`; ignored for 8-bit slides.
    color_space : {"raw", "srgb"}
        The stored pixels, or these converted to sRGB by the slide's ICC profile.

    Returns
    -------
    Slide

    Raises
    ------
    SlideError
        When it cannot be opened: one sentence with the reason.
    """
    given = None if mpp is None else pixel_size.from_argument(mpp)
    if isinstance(path, str) and "://" in path:
        from napari_histoaug.slides.remote import open_remote

        return open_remote(path, given)
    path = Path(path).expanduser()
    notes: list[str] = []
    reader = _reader(path, _checked_window(window), notes)
    if color_space == "srgb":
        reader, color_space = _managed(reader, path, notes)
    elif color_space != "raw":
        reader.close()
        raise SlideError(f"The color space {color_space!r} is not known; choose raw or srgb.")
    return Slide(path, reader, given, window, color_space, notes)


def _reader(path: Path, window: tuple[float, float] | None, notes: list[str]) -> Reader:
    start = _first_bytes(path)
    if start is None:
        from napari_histoaug.slides.zarr_reader import ZarrReader

        return ZarrReader(path)
    if path.suffix.lower() == ".mrxs":
        check_mirax(path)
    if start[128:132] == _DICOM:
        check_dicom(path)
    structure = inspect_tiff(path) if is_tiff(start) else None
    if structure is not None:
        _check_whole(path, structure)
    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor is None:
        if structure is None:
            raise SlideError(_not_a_slide(path, start))
        return _noted(TiffReader(path, window), window, notes)
    expected = ENDINGS.get(path.suffix.lower(), vendor)
    if expected != vendor:
        notes.append(
            f"{path.name} is named like a file of {expected} but is one of {vendor}; "
            "its content is believed."
        )
    if vendor in _PLAIN_INSIDE:
        return _noted(_plain_tiff(path, vendor, window, notes), window, notes)
    if structure is not None and structure.bits and set(structure.bits) != {8}:
        raise PixelError(
            f"{path.name} stores {max(structure.bits)} bits a channel; only 8-bit brightfield "
            "images can be used, so convert it to 8-bit RGB with the window you want."
        )
    return OpenSlideReader(path)


def _plain_tiff(
    path: Path, vendor: str, window: tuple[float, float] | None, notes: list[str]
) -> Reader:
    """Return our own reader, or OpenSlide's where ours cannot read the file or disagrees."""
    reference: OpenSlideReader | None = None
    try:
        reference = OpenSlideReader(path)
    except SlideError as error:
        unreadable = error
    # OpenSlide's generic pixel size is the resolution tag's, which comes after OME's.
    own = reference is not None and vendor != "generic-tiff"
    facts = Facts(
        vendor,
        reference.mpp if reference is not None and own else None,
        reference.background if reference is not None else (255, 255, 255),
        reference.bounds if reference is not None else None,
    )
    try:
        native = TiffReader(path, window, facts)
    except PixelError:
        raise
    except SlideError as error:
        if reference is None:
            raise unreadable from error
        notes.append(f"OpenSlide decodes this slide, because {error}")
        return reference
    if reference is None:
        return native
    if not _deep(native):
        reason = disagreement(native, reference)
        if reason is not None:
            native.close()
            notes.append(
                f"OpenSlide decodes this slide, because our own decoder and OpenSlide do not "
                f"agree on it: {reason}."
            )
            return reference
    reference.close()
    return native


def _deep(native: TiffReader) -> bool:
    return native.levels[0].colour.window is not None


def _noted(reader: Reader, window: tuple[float, float] | None, notes: list[str]) -> Reader:
    if window is not None and isinstance(reader, TiffReader) and _deep(reader):
        notes.append(f"16-bit values from {window[0]:g} to {window[1]:g} are shown as 0 to 255.")
    return reader


def _managed(reader: Reader, path: Path, notes: list[str]) -> tuple[Reader, Literal["raw", "srgb"]]:
    """Return the reader with its colours converted to sRGB; unchanged without a usable profile."""
    from PIL import ImageCms

    from napari_histoaug.slides.colour_management import SrgbReader

    try:
        profile = reader.icc_profile()
        if profile is not None:
            return SrgbReader(reader, profile), "srgb"
        reason = "carries no colour profile"
    except (ImageCms.PyCMSError, TileError):
        reason = "carries a colour profile that cannot be used"
    notes.append(f"{path.name} {reason}, so its colours are shown as they are stored.")
    return reader, "raw"


def _checked_window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is None:
        return None
    values = tuple(float(value) for value in window)
    if len(values) != 2 or not all(map(math.isfinite, values)) or values[0] >= values[1]:
        raise SlideError(f"The window {window!r} is not usable; give (low, high) with low < high.")
    return values[0], values[1]


def _first_bytes(path: Path) -> bytes | None:
    """Return the start of a file, None for a folder.

    Raises
    ------
    SlideError
        For a missing, forbidden, empty or special file.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):  # reading a pipe or a device might never end
            raise SlideError(f"{path.name} is not an ordinary file; choose a slide's file.")
        with path.open("rb") as file:
            start = file.read(132)
    except FileNotFoundError as error:
        raise SlideError(f"There is no file {path}; check the name and the folder.") from error
    except PermissionError as error:
        raise SlideError(
            f"You are not allowed to read {path.name}; ask its owner for read permission."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise SlideError(
            f"{path.name!a} cannot be read ({reason}); check its name and the disk it is on."
        ) from error
    if not start:
        raise SlideError(f"{path.name} is empty (0 bytes); copy it again from its source.")
    return start


def _check_whole(path: Path, structure: TiffStructure) -> None:
    if structure.absurd:
        raise SlideError(
            f"{path.name} has absurdly many or large TIFF directories, so it is damaged or "
            "malicious; copy it again from its source."
        )
    if structure.missing:
        raise SlideError(
            f"{path.name} is truncated: at least {structure.missing / 1e6:.3f} MB are missing at "
            f"its end ({structure.size / 1e6:.3f} MB are there); copy it again from its source."
        )


def _not_a_slide(path: Path, start: bytes) -> str:
    if start[128:132] == _DICOM:
        return (
            f"{path.name} is a DICOM file but not a readable whole-slide image; "
            "choose a file of the slide's VOLUME series."
        )
    return (
        f"{path.name} is not a slide: its content is none of the formats OpenSlide or tifffile "
        "can read, whatever its name says; choose another file."
    )
