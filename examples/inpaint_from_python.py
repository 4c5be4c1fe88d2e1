"""Put a vessel into a slide from Python, without a window.

Run it as it is (it fetches a small public slide, 2 MB, once)::

    python examples/inpaint_from_python.py [SLIDE [Y X]]

and look at before.png, after.png and changed.png in ``runs/example/``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from napari_histoaug.generation import inpaint, load_generator
from napari_histoaug.masks import vessel_outline
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.samples import fetch_sample

OUT = Path("runs/example")
SIDE = 256


def main() -> None:
    """Read a block, paint a vessel-shaped hole in its middle, fill it, write three pictures."""
    words = sys.argv[1:]
    path = Path(words[0]) if words else fetch_sample(progress=print)
    y, x = (int(word) for word in words[1:3]) if len(words) >= 3 else (2530, 800)

    with open_slide(path) as slide:
        image = slide.read_block(0, y, x, SIDE, SIDE)  # uint8 (SIDE, SIDE, 3), level 0
        mpp = slide.mpp

    # True = make tissue here
    hole = vessel_outline(np.random.default_rng(7), (SIDE, SIDE), radius=40)

    generator = load_generator()  # the bundled network
    result = inpaint(
        generator,
        image,
        hole,
        mpp=mpp,
        seed=1,
        progress=lambda done, total: print(f"\rstep {done}/{total}", end="", flush=True),
    )
    print(f"\n{result.evaluations} evaluations in {result.seconds:.1f} s")

    # every pixel that was not generated is the slide's own
    assert np.array_equal(result.image[~result.changed], image[~result.changed])

    OUT.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(OUT / "before.png")
    Image.fromarray(result.image).save(OUT / "after.png")
    Image.fromarray(np.where(result.changed, 255, 0).astype(np.uint8)).save(OUT / "changed.png")
    print(f"written to {OUT.resolve()}")


if __name__ == "__main__":
    main()
