"""Use a whole slide as a pyramid of zarr arrays: lazily decoded, in any array library.

Run it as it is (it fetches a small public slide, 2 MB, once)::

    python examples/slide_as_zarr.py [SLIDE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from napari_histoaug.slides import open_slide
from napari_histoaug.slides.pyramid import open_pyramid
from napari_histoaug.slides.samples import fetch_sample


def main() -> None:
    """Print the levels and how much of each is tissue."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else fetch_sample(progress=print)
    with open_slide(path) as slide:
        pyramid = open_pyramid(slide)
        print(f"{slide.vendor}, {slide.mpp} µm a pixel (y, x)")
        levels = zip(pyramid.arrays, pyramid.downsamples, strict=True)
        for index, (array, downsample) in enumerate(levels):
            print(
                f"level {index}: {array.shape}, {downsample[0]:g} x smaller, chunks {array.chunks}"
            )

        # Only the chunks of what is asked for are decoded.
        overview = np.asarray(pyramid.arrays[-1][:])
        saturation = overview.max(axis=-1).astype(int) - overview.min(axis=-1)
        print(f"about {np.mean(saturation > 25):.0%} of the slide is tissue")
        middle = tuple(size // 2 for size in pyramid.arrays[0].shape[:2])
        block = np.asarray(
            pyramid.arrays[0][middle[0] : middle[0] + 64, middle[1] : middle[1] + 64]
        )
        print(f"mean colour of a 64 x 64 block in the middle: {block.mean(axis=(0, 1)).round(1)}")


if __name__ == "__main__":
    main()
