"""Make contact sheets of annotations: every object in a crop, with and without its outline.

    python training/contact_sheets.py --annotations FOLDER --tiles FOLDER --out FOLDER
        [--side 88] [--context 36] [--columns 6] [--rows 10]

Every `<field>.geojson` in the folder of annotations, at any depth, is shown on the field of the
same name. A case's sheets are `<case>-NN.jpg`; the case is the field's name up to `_x`. A caption
is the object's name (or its place in the file), its class and the field without its case.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_histoaug.annotations import rasterize_geometry, read_geojson
from napari_histoaug.errors import HistoaugError

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
CAPTION = 13  # px
GAP = 4  # px, between pairs
GREEN = (0, 230, 0)


@dataclass(frozen=True)
class Layout:
    """Pixels and pairs of a sheet.

    Attributes
    ----------
    side : int
        Of a crop on the sheet.
    context : int
        Tissue shown around an object, in pixels of the field.
    columns, rows : int
        Pairs of crops on a sheet.
    """

    side: int = 88
    context: int = 36
    columns: int = 6
    rows: int = 10


def main() -> int:
    """Read the command line, write the sheets and say how many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--annotations", type=Path, required=True, help="folder of GeoJSON files")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of RGB fields")
    parser.add_argument("--out", type=Path, required=True, help="folder for the JPEG sheets")
    for name, value in vars(Layout()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    layout = Layout(options.side, options.context, options.columns, options.rows)
    try:
        count = make_sheets(options.annotations, options.tiles, options.out, layout)
    except HistoaugError as error:
        print(error)
        return 1
    print(f"{count} sheets are in {options.out}.")
    return 0


def make_sheets(annotations: Path, tiles: Path, out: Path, layout: Layout) -> int:
    """Write the sheets of every case and return their number.

    Raises
    ------
    HistoaugError
        When there are no annotations or a field is missing.
    """
    paths = sorted(annotations.rglob("*.geojson"), key=lambda path: path.stem)
    if not paths:
        raise HistoaugError(f"{annotations} holds no GeoJSON file; check the folder's name.")
    fields = {p.stem: p for p in tiles.iterdir() if p.suffix.lower() in SUFFIXES}
    absent = next((path for path in paths if path.stem not in fields), None)
    if absent:
        raise HistoaugError(f"{tiles} holds no field {absent.stem}, which {absent} annotates.")
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for case, of_case in groupby(paths, key=lambda path: path.stem.split("_x")[0]):
        pairs = [pair for path in of_case for pair in pairs_of(path, fields[path.stem], layout)]
        size = layout.columns * layout.rows
        for number, start in enumerate(range(0, len(pairs), size), 1):
            sheet = sheet_of(pairs[start : start + size], layout)
            sheet.save(out / f"{case}-{number:02d}.jpg", quality=70, optimize=True)
            count += 1
    return count


def pairs_of(path: Path, field: Path, layout: Layout) -> Iterator[tuple[str, Image.Image]]:
    """Yield a caption and a picture (outlined crop beside the bare one) for every object."""
    image = np.asarray(Image.open(field).convert("RGB"))
    height, width = image.shape[:2]
    for number, feature in enumerate(read_geojson(path).walk()):
        inside = rasterize_geometry(feature.geometry, (0, 0, height, width))
        if not inside.any():
            continue
        caption = f"{feature.name or number} {feature.class_name} {path.stem.split('_', 1)[-1]}"
        yield caption, pair_of(image, inside, layout)


def pair_of(image: NDArray[np.uint8], inside: NDArray[np.bool_], layout: Layout) -> Image.Image:
    """Return the object's surroundings twice, `2 * side` by `side` pixels."""
    rows, columns = np.nonzero(inside)
    extent = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1 + 2 * layout.context
    extent = min(extent, *inside.shape)
    y, x = (
        int(np.clip((at.min() + at.max()) // 2 - extent // 2, 0, length - extent))
        for at, length in zip((rows, columns), inside.shape, strict=True)
    )
    window = np.s_[y : y + extent, x : x + extent]
    size = (layout.side, layout.side)
    bare = Image.fromarray(image[window]).resize(size, Image.Resampling.BICUBIC)
    mask = np.asarray(Image.fromarray(inside[window]).resize(size, Image.Resampling.NEAREST))
    outlined = np.array(bare)
    outlined[mask & ~ndimage.binary_erosion(mask, border_value=1)] = GREEN
    both = Image.new("RGB", (2 * layout.side, layout.side))
    both.paste(Image.fromarray(outlined), (0, 0))
    both.paste(bare, (layout.side, 0))
    return both


def sheet_of(pairs: list[tuple[str, Image.Image]], layout: Layout) -> Image.Image:
    """Return pairs with their captions, row by row, on white."""
    step = (2 * layout.side + GAP, layout.side + CAPTION)
    rows = -(-len(pairs) // layout.columns)
    sheet = Image.new("RGB", (layout.columns * step[0], rows * step[1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for i, (caption, picture) in enumerate(pairs):
        x, y = step[0] * (i % layout.columns), step[1] * (i // layout.columns)
        sheet.paste(picture, (x, y + CAPTION))
        while draw.textlength(caption, font) > step[0] - GAP:
            caption = caption[:-1]
        draw.text((x + 1, y), caption, fill="black", font=font)
    return sheet


if __name__ == "__main__":
    raise SystemExit(main())
