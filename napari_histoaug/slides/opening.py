"""From a path to a slide, or to one sentence that says why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import openslide

from napari_histoaug.slides import pixel_size
from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.reader import Reader
from napari_histoaug.slides.slide import Slide
from napari_histoaug.slides.tiff_reader import TiffReader
from napari_histoaug.slides.tiff_structure import TiffStructure, inspect_tiff, is_tiff

#: OpenSlide formats whose lower levels are plain TIFF images that tifffile reads to the byte.
_PLAIN_INSIDE = {"aperio", "generic-tiff"}
_PALETTE, _SEPARATED = 3, 5


def open_slide(path: str | os.PathLike[str], mpp: float | Sequence[float] | None = None) -> Slide:
    """Open a slide for reading; the format is recognised by content, not by the file's ending.

    Parameters
    ----------
    path : path-like
        A file OpenSlide knows, an (OME-)TIFF, or an OME-Zarr folder.
    mpp : float or (y, x), optional
        Micrometres per pixel of level 0, overriding what the file says. By default the vendor's
        value, then OME PhysicalSize, then the TIFF resolution; absurd ones are not believed.

    Returns
    -------
    Slide

    Raises
    ------
    SlideError
        When it cannot be opened: one sentence with the reason.
    """
    path = Path(path).expanduser()
    given = None if mpp is None else pixel_size.from_argument(mpp)
    return Slide(path, _reader(path), given)


def _reader(path: Path) -> Reader:
    start = _first_bytes(path)
    if start is None:
        from napari_histoaug.slides.zarr_reader import ZarrReader

        return ZarrReader(path)
    structure = inspect_tiff(path) if is_tiff(start) else None
    if structure is not None:
        _check_tiff(path, structure)
    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor is None:
        if structure is None:
            raise SlideError(_not_a_slide(path, start))
        return TiffReader(path)
    exact = _exact(path) if vendor in _PLAIN_INSIDE else None
    reader = OpenSlideReader(path, exact)
    if vendor == "generic-tiff" and exact is not None and _says_more(exact, reader):
        reader.close()
        return exact.reopen()
    return reader


def _says_more(tiff: TiffReader, generic: OpenSlideReader) -> bool:
    """Tell whether a file is more than the plain pyramid OpenSlide took it for.

    OpenSlide knows neither OME-XML nor levels in sub-directories.
    """
    return tiff.is_ome or len(tiff.shapes) > len(generic.shapes)


def _exact(path: Path) -> TiffReader | None:
    """Return the file as a TIFF when its levels can be read that way, tile for tile."""
    try:
        reader = TiffReader(path)
    except SlideError:
        return None
    if reader.levels_with_gaps:
        # OpenSlide fills tiles without bytes from the finer level, which is better.
        reader.close()
        return None
    return reader


def _first_bytes(path: Path) -> bytes | None:
    """Return the start of a file, None for a folder.

    Raises
    ------
    SlideError
        For a missing, forbidden or empty file.
    """
    try:
        if path.is_dir():
            return None
        with path.open("rb") as file:
            start = file.read(132)
    except FileNotFoundError as error:
        raise SlideError(f"There is no file {path}; check the name and the folder.") from error
    except PermissionError as error:
        raise SlideError(
            f"You are not allowed to read {path.name}; ask its owner for read permission."
        ) from error
    except OSError as error:
        raise SlideError(
            f"{path.name} cannot be read ({error.strerror}); check the disk it is on."
        ) from error
    if not start:
        raise SlideError(f"{path.name} is empty (0 bytes); copy it again from its source.")
    return start


def _check_tiff(path: Path, structure: TiffStructure) -> None:
    if structure.missing:
        raise SlideError(
            f"{path.name} is truncated: at least {structure.missing / 1e6:.3f} MB are missing at "
            f"its end ({structure.size / 1e6:.3f} MB are there); copy it again from its source."
        )
    if structure.bits and set(structure.bits) != {8}:
        raise SlideError(
            f"{path.name} stores {max(structure.bits)} bits a channel; only 8-bit brightfield "
            "images can be used, so convert it to 8-bit RGB with the window you want."
        )
    refused = {_SEPARATED: "CMYK inks", _PALETTE: "a colour palette"}
    if structure.photometric in refused:
        raise SlideError(
            f"{path.name} stores colours as {refused[structure.photometric]}, which cannot be "
            "shown faithfully; convert it to 8-bit RGB."
        )


def _not_a_slide(path: Path, start: bytes) -> str:
    if path.suffix.lower() == ".mrxs" and not path.with_suffix("").is_dir():
        return (
            f"{path.name} has no data folder {path.stem} beside it; "
            "copy that folder next to the .mrxs file."
        )
    if start[128:132] == b"DICM":
        return (
            f"{path.name} is a DICOM file but not a readable whole-slide image; "
            "choose a file of the slide's VOLUME series."
        )
    return (
        f"{path.name} is not a slide: its content is none of the formats OpenSlide or tifffile "
        "can read, whatever its name says; choose another file."
    )
