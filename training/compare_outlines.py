"""Compare two annotators who outlined the same fields; print a table, write it as JSON.

    python training/compare_outlines.py --first FOLDER --second FOLDER --out FILE.json
        [--class-name blood_vessel] [--size 1024 1024]

A folder holds `<case>/<field>.geojson`. Pixels: Dice and Cohen's kappa. Objects: precision and
recall of the second annotator against the first, matched one to one at an intersection over union
of at least 0.5, and the mean of the matched ones. Fields that only one annotator has are an error.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.annotations import rasterize_geometry, read_geojson
from napari_histoaug.errors import HistoaugError
from napari_histoaug.metrics import Confusion, cohen_kappa, confusion, match_objects


@dataclass
class Agreement:
    """What was counted in some fields.

    Attributes
    ----------
    pixels, objects : Confusion
        The second annotator against the first.
    total : int
        Pixels looked at.
    fields : int
    overlaps : list of float
        Intersection over union of every matched pair.
    """

    pixels: Confusion = field(default_factory=Confusion)
    objects: Confusion = field(default_factory=Confusion)
    total: int = 0
    fields: int = 0
    overlaps: list[float] = field(default_factory=list)

    def add(self, first: NDArray[np.int32], second: NDArray[np.int32]) -> None:
        """Count one field: numbered objects (H, W) of both annotators."""
        matching = match_objects(first, second)
        self.pixels += confusion(first, second)
        self.objects += matching.counts
        self.total += first.size
        self.fields += 1
        self.overlaps.extend(iou for _, _, iou in matching.pairs)

    def figures(self) -> dict[str, float | int | None]:
        """Return the counts and what follows from them, for the table and the JSON file."""
        matched = self.objects.tp
        return {
            "fields": self.fields,
            "first_objects": matched + self.objects.fn,
            "second_objects": matched + self.objects.fp,
            "matched": matched,
            "pixel_dice": _rounded(self.pixels.dice),
            "pixel_kappa": _rounded(cohen_kappa(self.pixels, self.total)),
            "object_precision": _rounded(self.objects.precision),
            "object_recall": _rounded(self.objects.recall),
            "object_f1": _rounded(self.objects.dice),
            "matched_iou": _rounded(float(np.mean(self.overlaps)) if matched else None),
        }


def main() -> int:
    """Read the command line, compare and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--first", type=Path, required=True, help="folder of one annotator")
    parser.add_argument("--second", type=Path, required=True, help="folder of the other")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--class-name", default="blood_vessel", help="class to compare")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 1024), help="height width")
    options = parser.parse_args()
    try:
        found = compare(options.first, options.second, options.class_name, tuple(options.size))
    except HistoaugError as error:
        print(error)
        return 1
    print(as_table(found))
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def compare(
    first: Path, second: Path, class_name: str, size: tuple[int, int]
) -> dict[str, dict[str, float | int | None]]:
    """Return the figures of each case, and of all fields together as `all`.

    Raises
    ------
    HistoaugError
        When the annotators have not outlined the same fields.
    """
    names = [_fields(folder) for folder in (first, second)]
    if names[0] != names[1]:
        odd = sorted(names[0] ^ names[1])
        raise HistoaugError(
            f"{len(odd)} fields are in one of {first} and {second} only, such as {odd[0]}; "
            "compare folders of the same fields."
        )
    counts: dict[str, Agreement] = defaultdict(Agreement)
    for name in sorted(names[0]):
        case = name.split("/")[0]
        numbered = [objects_of(folder / name, class_name, size) for folder in (first, second)]
        for key in (case, "all"):
            counts[key].add(*numbered)
    return {key: counts[key].figures() for key in sorted(counts, key=lambda k: (k == "all", k))}


def objects_of(path: Path, class_name: str, size: tuple[int, int]) -> NDArray[np.int32]:
    """Number the objects of one class from 1, (height, width); a later one hides an earlier one."""
    numbered = np.zeros(size, np.int32)
    chosen = [f for f in read_geojson(path).walk() if f.class_name == class_name]
    for number, feature in enumerate(chosen, 1):
        numbered[rasterize_geometry(feature.geometry, (0, 0, *size))] = number
    return numbered


def as_table(found: dict[str, dict[str, float | int | None]]) -> str:
    """Return a Markdown table, one row for each case."""
    columns = list(next(iter(found.values())))
    rows = [["case", *columns], ["---"] * (1 + len(columns))]
    rows += [[case, *(str(row[c]) for c in columns)] for case, row in found.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _fields(folder: Path) -> set[str]:
    names = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.geojson")}
    if not names:
        raise HistoaugError(f"{folder} holds no <case>/<field>.geojson; check the folder's name.")
    return names


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    raise SystemExit(main())
