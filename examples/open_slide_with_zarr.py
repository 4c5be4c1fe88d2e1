"""Use a whole slide, of any format, as a zarr group: lazily decoded, in any array library.

Run it as it is (it fetches a small public slide, 2 MB, once)::

    python examples/open_slide_with_zarr.py [SLIDE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import dask.array
import numpy as np
import zarr

from napari_histoaug.slides import open_slide
from napari_histoaug.slides.samples import fetch_sample
from napari_histoaug.slides.store import SlideStore


def main() -> None:
    """Print the levels, how much of the slide is tissue, and its mean colour."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else fetch_sample(progress=print)
    with open_slide(path) as slide:
        store = SlideStore(slide)

        # Everything below knows zarr and nothing else.
        group = zarr.open_group(store, mode="r")
        image = group.attrs["ome"]["multiscales"][0]
        print("axes:", ", ".join(f"{a['name']} {a.get('unit', '')}".strip() for a in image["axes"]))
        for dataset in image["datasets"]:
            scale = dataset["coordinateTransformations"][0]["scale"]
            print(f"{dataset['path']}: {group[dataset['path']].shape}, scale {scale}")

        # The same pixels with the colours last, as most libraries want RGB. Only the chunks of
        # what is asked for are decoded.
        levels = [group[str(index)] for index in range(len(image["datasets"]))]
        overview = np.asarray(levels[-1][:])
        saturation = overview.max(axis=-1).astype(int) - overview.min(axis=-1)
        print(f"about {np.mean(saturation > 25):.0%} of the slide is tissue")

        # Larger than memory is no obstacle: dask decodes, averages and forgets chunk by chunk.
        whole = dask.array.from_zarr(store, component="0")
        print(f"mean colour: {whole.mean(axis=(0, 1)).compute().round(1)}")


if __name__ == "__main__":
    main()
