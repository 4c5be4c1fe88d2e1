"""What of one set could be known from another: patients, pixels, copies, rescans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from napari_histoaug.patches.manifest import SlideEntry, read_info, read_table
from napari_histoaug.patches.similar import distance
from napari_histoaug.patches.splits import Crossing, crossings

#: Thumbnails whose hashes differ in so few of 64 bits are looked at twice.
LOOK_ALIKE = 6
_COLUMNS = ["patient_group", "slide_sha256", "split", "row", "column", "out_size"]


class Leakage(NamedTuple):
    """What :func:`leakage` found.

    Attributes
    ----------
    patients : list of Crossing
        Patients in more than one set.
    overlaps : list of Crossing
        Slides with overlapping patches in more than one set.
    copies : list of (str, str)
        Slides (by source) of the same bytes.
    look_alikes : list of (str, str, int)
        Slides in different sets with nearly the same thumbnail, and by how many bits of 64 they
        differ: rescans, serial sections, or chance.
    """

    patients: list[Crossing]
    overlaps: list[Crossing]
    copies: list[tuple[str, str]]
    look_alikes: list[tuple[str, str, int]]

    @property
    def clean(self) -> bool:
        """Whether no patient and no pixel is in two sets."""
        return not self.patients and not self.overlaps

    def lines(self) -> list[str]:
        """Return the report, line by line."""
        out = [f"patients in several sets: {len(self.patients)}"]
        out += [f"  {c.what}: {', '.join(c.splits)}" for c in self.patients]
        out.append(f"slides with overlapping patches in several sets: {len(self.overlaps)}")
        out += [f"  {c.what}: {', '.join(c.splits)}" for c in self.overlaps]
        out.append(f"slides of the same bytes: {len(self.copies)}")
        out += [f"  {a} and {b}" for a, b in self.copies]
        out.append(f"slides in different sets that look alike: {len(self.look_alikes)}")
        out += [f"  {a} and {b} ({bits} of 64 bits differ)" for a, b, bits in self.look_alikes]
        return out


def leakage(path: str | Path) -> Leakage:
    """Report what the sets of a manifest share.

    Parameters
    ----------
    path : path-like
        ``manifest.parquet``.

    Raises
    ------
    PatchError
        When it cannot be read.
    """
    slides = read_info(path).slides
    patients, overlaps = crossings(read_table(path, _COLUMNS))
    return Leakage(patients, overlaps, copies(slides), _look_alikes(slides))


def copies(slides: Iterable[SlideEntry]) -> list[tuple[str, str]]:
    """Return the slides of the same bytes as an earlier one, (earlier, later) by source."""
    first: dict[str, str] = {}
    found = []
    for slide in slides:
        if slide.slide_sha256 is not None:
            earlier = first.setdefault(slide.slide_sha256, slide.source)
            if earlier != slide.source:
                found.append((earlier, slide.source))
    return found


def _look_alikes(slides: Iterable[SlideEntry]) -> list[tuple[str, str, int]]:
    seen = [s for s in slides if s.thumbnail_hash and s.patches and s.split]
    found = []
    for index, slide in enumerate(seen):
        for other in seen[:index]:
            bits = distance(str(slide.thumbnail_hash), str(other.thumbnail_hash))
            if bits <= LOOK_ALIKE and slide.split != other.split:
                found.append((other.source, slide.source, bits))
    return found
