"""Write automatic blood-vessel labels for a folder of H&E fields (0 tissue, 1 blood vessel).

    python training/propose_vessels.py --tiles FOLDER --out FOLDER [--skip CASE ...]
        [--ignore FOLDER] [--sheets FOLDER]

A field's case is its file name up to `_x`. One PNG of the same stem is written per field; with
`--ignore` another one that is 1 on and around red cells outside every label, where neither answer
should be learned from.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_histoaug.annotations.proposals import Proposals, propose_vessels

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def main() -> None:
    """Read the command line and label every field."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiles", type=Path, required=True, help="folder of RGB fields")
    parser.add_argument("--out", type=Path, required=True, help="folder for the label PNGs")
    parser.add_argument("--skip", nargs="*", default=[], help="cases to leave out (test cases)")
    parser.add_argument("--only", nargs="*", default=[], help="cases to label, all when not given")
    parser.add_argument("--ignore", type=Path, help="folder for masks of red cells outside labels")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    options = parser.parse_args()
    fields = [
        path
        for path in sorted(options.tiles.iterdir())
        if path.suffix.lower() in SUFFIXES
        and case_of(path) not in options.skip
        and (not options.only or case_of(path) in options.only)
    ]
    for folder in filter(None, (options.out, options.ignore, options.sheets)):
        folder.mkdir(parents=True, exist_ok=True)
    by_case: dict[str, list[Path]] = defaultdict(list)
    for path in fields:
        by_case[case_of(path)].append(path)
    for case, paths in by_case.items():
        label_case(case, paths, options.out, options.ignore, options.sheets)


def case_of(path: Path) -> str:
    """Case name of a field `<case>_x<X>_y<Y>.jpg`."""
    return path.stem.split("_x")[0]


def label_case(
    case: str, paths: list[Path], out: Path, ignore: Path | None, sheets: Path | None
) -> None:
    """Label the fields of one case and print one line about them."""
    area, count, red, outside = 0.0, 0, 0, 0
    panels: list[NDArray[np.uint8]] = []
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        found = propose_vessels(image)
        missed = found.red_cells & (found.labels == 0)
        save_png(out / f"{path.stem}.png", found.labels)
        if ignore is not None:
            grown = ndimage.binary_dilation(missed, iterations=3)
            save_png(ignore / f"{path.stem}.png", grown.astype(np.uint8))
        if sheets is not None:
            panels.append(outlined(image, found))
        area += found.area_fraction / len(paths)
        count += found.count
        red += int(found.red_cells.sum())
        outside += int(missed.sum())
    for number in range(0, len(panels), 9):
        save_png(sheets / f"{case}_{number // 9}.png", sheet(panels[number : number + 9]))  # type: ignore[operator]
    print(
        f"{case}: {len(paths)} fields, {count} vessels, {100 * area:.1f} % of the area labelled, "
        f"red cells {100 * red / len(paths) / image.shape[0] / image.shape[1]:.2f} % of the area, "
        f"{100 * outside / max(red, 1):.1f} % of them outside labels",
        flush=True,
    )


def outlined(image: NDArray[np.uint8], found: Proposals) -> NDArray[np.uint8]:
    """The field with vessel outlines (green) and red cells outside them (blue)."""
    labels = found.labels.astype(bool)
    edge = ndimage.binary_dilation(labels, iterations=2) & ~labels
    shown = image.copy()
    shown[found.red_cells & ~labels] = (0, 0, 255)
    shown[edge] = (0, 220, 0)
    return shown


def sheet(panels: list[NDArray[np.uint8]], side: int = 512) -> NDArray[np.uint8]:
    """Three by three panels of `side` pixels on white."""
    canvas = np.full((3 * side, 3 * side, 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        y, x = side * (i // 3), side * (i % 3)
        small = Image.fromarray(panel).resize((side, side), Image.Resampling.BOX)
        canvas[y : y + side, x : x + side] = np.asarray(small)
    return canvas


def save_png(path: Path, array: NDArray[np.uint8]) -> None:
    """Write a PNG under a temporary name, then rename it."""
    temporary = path.with_name(path.name + ".part")
    Image.fromarray(array).save(temporary, format="PNG")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
