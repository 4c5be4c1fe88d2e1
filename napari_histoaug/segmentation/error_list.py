"""The wrong objects of a comparison, as a list for people and as a table for other programs."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_histoaug.patches.grid import Grid
from napari_histoaug.segmentation.error_map import Outcome
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.object_counts import Found, ObjectErrors

COLUMNS = ("kind", "class", "area_px", "area_um2", "y", "x", "height", "width")


class WrongObject(NamedTuple):
    """An object that was invented or missed.

    Attributes
    ----------
    kind : Outcome
        ``FALSE_POSITIVE`` or ``FALSE_NEGATIVE``.
    found : Found
        In pixels of the comparison's grid.
    """

    kind: Outcome
    found: Found

    @property
    def name(self) -> str:
        """Such as "false positive"."""
        return self.kind.name.lower().replace("_", " ")


def wrong_objects(errors: ObjectErrors) -> list[WrongObject]:
    """All objects without a partner, the largest first."""
    both = [WrongObject(Outcome.FALSE_POSITIVE, found) for found in errors.invented]
    both += [WrongObject(Outcome.FALSE_NEGATIVE, found) for found in errors.missed]
    return sorted(both, key=lambda each: (-each.found.area, each.found.box))


def square_micrometres(area: int, grid: Grid) -> float | None:
    """An area in pixels of a grid as square micrometres; None where pixels have no size."""
    return None if grid.mpp is None else area * grid.mpp[0] * grid.mpp[1]


def write_error_table(path: Path, errors: Mapping[str, Sequence[WrongObject]], grid: Grid) -> None:
    """Write the wrong objects of each class as CSV, whole or not at all.

    Boxes are in level-0 pixels; areas in pixels of the grid and, where known, in µm².

    Raises
    ------
    SegmentationError
        When the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for class_name, listed in errors.items():
                for each in listed:
                    real = square_micrometres(each.found.area, grid)
                    area = "" if real is None else f"{real:.2f}"
                    box = grid.level_0_box(*each.found.box)
                    writer.writerow([each.name, class_name, each.found.area, area, *box])
        os.replace(temporary, path)
    except OSError as error:
        raise SegmentationError(
            f"{path} cannot be written ({error.strerror}); choose another place."
        ) from None
