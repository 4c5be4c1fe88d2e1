"""Which slides are worked on: a folder or a CSV list, and how each is named in what is written."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.slides.identity import salted_id

_SLIDES = {
    ".svs", ".tif", ".tiff", ".btf", ".ndpi", ".mrxs", ".scn", ".bif", ".czi", ".vms", ".zarr",
}  # fmt: skip
_ANNOTATIONS = (".geojson", ".json", ".geojson.gz", ".json.gz", ".zip")
_COLUMNS = ("slide", "annotations", "mpp", "patient", "frame", "split", "case")
_LAST = ("frame", "split", "case")


class SlideJob(NamedTuple):
    """One slide to work on.

    Attributes
    ----------
    path : Path
    annotations : Path or None
    mpp : float or None
        Micrometres a pixel, overriding what the file says.
    patient : str or None
        As the list has it; only its salted form is ever written.
    frame : str or None
        What the annotations' coordinates count from, "slide" or "bounds"; found out if None.
    split : str or None
        The set that the list puts the slide into.
    case : str or None
        What the list wants the patient to be called in what is written.
    """

    path: Path
    annotations: Path | None = None
    mpp: float | None = None
    patient: str | None = None
    frame: str | None = None
    split: str | None = None
    case: str | None = None

    @property
    def source(self) -> str:
        """The salted name of this slide's place, which files made from it carry."""
        return _salted(str(self.path.resolve()))

    @property
    def patient_group(self) -> str | None:
        """The salted patient, None when the list names none."""
        return _salted(self.patient.strip()) if self.patient and self.patient.strip() else None

    def without_names(self, text: str) -> str:
        """Return a sentence in which neither file is named."""
        for path, word in ((self.path, "the slide"), (self.annotations, "its annotations")):
            if path is not None:
                for name in (str(path.resolve()), str(path), path.name, path.stem):
                    text = text.replace(name, word)
        return text


def list_slides(slides: Path, annotations: Path | None = None) -> list[SlideJob]:
    """List the slides of a folder or of a CSV file, in a fixed order.

    Parameters
    ----------
    slides : Path
        A folder of slides, or a CSV file of them; see :func:`slides_of_table`.
    annotations : Path, optional
        Folder of the annotations, which are called like their slide; beside it when omitted.

    Raises
    ------
    PatchError
        When there is no slide, or the list has a column or a value that is not understood.
    """
    if slides.is_dir():
        found = sorted(p for p in slides.iterdir() if p.suffix.lower() in _SLIDES)
        jobs = [SlideJob(path, _annotations_of(path, annotations)) for path in found]
        if not jobs:
            raise PatchError(
                f"{slides} holds no slide; choose another folder, or name the slides in a CSV file."
            )
    else:
        jobs = slides_of_table(slides, annotations)
    return sorted(jobs, key=lambda job: str(job.path))


def slides_of_table(table: Path, annotations: Path | None = None) -> list[SlideJob]:
    """List the slides of a CSV file, line by line.

    Parameters
    ----------
    table : Path
        With the column ``slide`` and, if wanted, ``annotations``, ``mpp``, ``patient``, ``frame``,
        ``split`` and ``case``. Its paths are relative to its folder.
    annotations : Path, optional
        As for :func:`list_slides`.

    Raises
    ------
    PatchError
        When a slide is named twice, or a column or a value is not understood.
    """
    jobs = _from_csv(table, annotations)
    if len({job.path.resolve() for job in jobs}) < len(jobs):
        raise PatchError(f"{table} names a slide twice; leave one of the two out.")
    return jobs


def find_slides(places: Iterable[str | Path]) -> list[Path]:
    """Return the slides among files and in folders."""
    found: list[Path] = []
    for place in map(Path, places):
        inside = place.is_dir() and place.suffix.lower() not in _SLIDES
        found += (
            [p for p in sorted(place.iterdir()) if p.suffix.lower() in _SLIDES]
            if inside
            else [place]
        )
    return found


def _from_csv(path: Path, annotations: Path | None) -> list[SlideJob]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PatchError(
            f"The list of slides {path} cannot be read; give a folder or a CSV file in UTF-8."
        ) from error
    unknown = [name for name in columns if name not in _COLUMNS]
    if "slide" not in columns or unknown:
        raise PatchError(
            f"The list {path.name} has the columns {', '.join(columns) or 'none'}; it needs slide "
            f"and may have {', '.join(_COLUMNS[1:])}."
        )
    return [_row(row, number, path, annotations) for number, row in enumerate(rows, 2)]


def _row(row: dict[str, str], number: int, path: Path, annotations: Path | None) -> SlideJob:
    slide = (row["slide"] or "").strip()
    if not slide:
        raise PatchError(f"Line {number} of {path.name} names no slide; correct or delete it.")
    place = path.parent / slide
    given = (row.get("annotations") or "").strip()
    mpp = (row.get("mpp") or "").strip()
    try:
        value = float(mpp) if mpp else None
    except ValueError:
        raise PatchError(
            f"Line {number} of {path.name} has the mpp {mpp!r}; give micrometres as a number."
        ) from None
    drawn = path.parent / given if given else _annotations_of(place, annotations)
    frame, split, case = ((row.get(name) or "").strip() or None for name in _LAST)
    return SlideJob(place, drawn, value, row.get("patient") or None, frame, split, case)


def _annotations_of(slide: Path, folder: Path | None) -> Path | None:
    folder = folder or slide.parent
    names = (stem + ending for stem in (slide.stem, slide.name) for ending in _ANNOTATIONS)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _salted(text: str) -> str:
    return salted_id(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())
