"""Paint annotations into label maps: 0 background, 1 + the index of the class elsewhere.

    python training/make_label_maps.py --annotations FOLDER --tiles FOLDER --out FOLDER
        [--classes blood_vessel ...] [--look-alikes fat gap ...]

Every `<name>.geojson` in the folder of annotations, at any depth, is painted at the size of the
field `<name>` in the folder of tiles; `<name>.png` is written. Fields without annotations get none.
Look-alikes become 128: background, around which training examples are cut as often as around
classes. Teach with rim_weight=1 then, since 128 also marks a rim.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from napari_histoaug.annotations import ClassTable, rasterize, read_geojson
from napari_histoaug.errors import HistoaugError

LOOK_ALIKE = 128

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def main() -> int:
    """Read the command line, paint every annotated field and say how many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--annotations", type=Path, required=True, help="folder of GeoJSON files")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of RGB fields")
    parser.add_argument("--out", type=Path, required=True, help="folder for the label PNGs")
    parser.add_argument("--classes", nargs="+", default=["blood_vessel"], help="classes to paint")
    parser.add_argument("--look-alikes", nargs="+", default=[], help="classes to paint as 128")
    options = parser.parse_args()
    try:
        count = make_label_maps(
            options.annotations, options.tiles, options.out, options.classes, options.look_alikes
        )
    except HistoaugError as error:
        print(error)
        return 1
    print(f"{count} label maps of {', '.join(options.classes)} are in {options.out}.")
    return 0


def make_label_maps(
    annotations: Path, tiles: Path, out: Path, names: list[str], look_alikes: Sequence[str] = ()
) -> int:
    """Write one label map for each annotated field.

    Parameters
    ----------
    annotations : path
        Searched at any depth for ``*.geojson``.
    tiles : path
        The fields, by the same names.
    out : path
        Made when it does not exist.
    names : list of str
        Classes in the order of their values.
    look_alikes : sequence of str
        Classes that become 128 where no class of `names` is.

    Returns
    -------
    int
        Fields painted.

    Raises
    ------
    HistoaugError
        When there is nothing to paint, a name occurs twice, a field is missing or an annotation
        cannot be read.
    """
    classes = ClassTable.from_names([*names, *look_alikes])
    sources: dict[str, Path] = {}
    for path in sorted(annotations.rglob("*.geojson")):
        if path.stem in sources:
            raise HistoaugError(
                f"{path.stem} is annotated twice, in {sources[path.stem]} and {path}; "
                "name a folder that holds one of them."
            )
        sources[path.stem] = path
    if not sources:
        raise HistoaugError(f"{annotations} holds no GeoJSON file; check the folder's name.")
    fields = {p.stem: p for p in tiles.iterdir() if p.suffix.lower() in SUFFIXES}
    out.mkdir(parents=True, exist_ok=True)
    for stem, path in sources.items():
        if stem not in fields:
            raise HistoaugError(f"{tiles} holds no field {stem}, which {path} annotates.")
        with Image.open(fields[stem]) as field:
            width, height = field.size
        labels = rasterize(read_geojson(path), classes, (0, 0, height, width))
        labels = np.where(labels > len(names), LOOK_ALIKE, labels).astype(np.uint8)
        temporary = out / f"{stem}.png.part"
        Image.fromarray(labels).save(temporary, format="PNG")
        temporary.replace(out / f"{stem}.png")
    return len(sources)


if __name__ == "__main__":
    raise SystemExit(main())
