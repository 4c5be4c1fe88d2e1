"""Cut a slide into patches with masks, and read them as a data set.

Without arguments it works on the sample slide (2 MB, fetched once)::

    python examples/extract_patches.py [SLIDE [ANNOTATIONS.geojson]]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from napari_histoaug.annotations import ClassTable, place_on, read_geojson
from napari_histoaug.exports import PatchOrder, export_patches
from napari_histoaug.learning import PatchDataset
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.samples import fetch_sample

OUT = Path("runs/patches-of-one-slide")


def main() -> None:
    """Extract 128 px patches at 1 µm a pixel over the tissue, as zarr; read some."""
    words = sys.argv[1:]
    path = Path(words[0]) if words else fetch_sample(progress=print)
    shutil.rmtree(OUT, ignore_errors=True)
    with open_slide(path) as slide:
        drawn = None
        if len(words) > 1:
            drawn = read_geojson(words[1])
            place_on(drawn, slide)
        order = PatchOrder(form="zarr", around="slide", size=128, stride=128, mpp=1.0)
        manifest = export_patches(slide, OUT, ClassTable.preset("breast"), order, drawn)
    data = PatchDataset(manifest, form="zarr", synthetic=True)
    image, mask = data[0]
    print(f"{len(data)} patches; the first is {tuple(image.shape)}, its mask {tuple(mask.shape)}")


if __name__ == "__main__":
    main()
