"""Fill every outline of a GeoJSON file, keep the results beside the slide, export the pairs.

Without arguments it works on the sample slide (2 MB, fetched once) with two outlines of its own::

    python examples/inpaint_outlines.py [SLIDE OUTLINES.geojson]

Started twice, it fills twice: take the first fills back with Undo in napari.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import shapely

from napari_histoaug.annotations import (
    ClassTable,
    Document,
    Feature,
    connected_areas,
    place_on,
    rasterize_geometry,
    read_geojson,
    write_geojson,
)
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.exports import Kind, Order, export
from napari_histoaug.generation import inpaint, load_generator
from napari_histoaug.patches import context_box
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.samples import fetch_sample

OUT = Path("runs/outlines")
LABEL = "blood_vessel"


def sample() -> tuple[Path, Path]:
    """A copy of the sample slide, so that its edits lie in our folder, and two circles."""
    OUT.mkdir(parents=True, exist_ok=True)
    slide = Path(shutil.copy(fetch_sample(progress=print), OUT))
    circles = [shapely.Point(x, y).buffer(40) for x, y in ((928, 2658), (1240, 2710))]
    outlines = OUT / "outlines.geojson"
    write_geojson(Document.from_features([Feature.new(c, LABEL) for c in circles]), outlines)
    return slide, outlines


def main() -> None:
    """Read, fill, keep, export."""
    given = [Path(word) for word in sys.argv[1:3]]
    path, outlines = given if len(given) == 2 else sample()
    generator = load_generator()
    with open_slide(path) as slide:
        shape = slide.levels[0].shape
        document = read_geojson(outlines)
        place_on(document, slide)  # stops when they seem to be of another slide
        store = EditStore.open(slide)
        for seed, area in enumerate(connected_areas(document, LABEL, shape, outlines)):
            x0, y0, x1, y1 = (int(value) for value in area.bounds)
            box = context_box((y0, x0, y1 - y0 + 1, x1 - x0 + 1), shape)
            hole = rasterize_geometry(area, box)
            image = store.read_block(slide, *box)  # with what was filled before
            made = inpaint(
                generator, image, hole, label=LABEL, mpp=slide.mpp, method="draft", seed=seed
            )
            record = EditRecord.of(slide, box, made, generator.name, generator.sha256)
            store.accept(made.image, made.changed, record, hole)
            print(f"filled {hole.sum()} pixels at {box[:2]} in {made.seconds:.1f} s")
        order = Order(Kind.PAIRS, OUT / "pairs", ClassTable.preset("breast"))
        written = export(slide, store, order)
    print(f"{len(written)} pairs are in {OUT / 'pairs'}")


if __name__ == "__main__":
    main()
