"""Open a slide and put a vessel into it, in ten lines.

``python examples/ten_lines.py [SLIDE [Y X]]`` writes ``vessel.png``.
"""

import sys

import numpy as np
from PIL import Image

from napari_histoaug.generation import inpaint, load_generator
from napari_histoaug.masks import vessel_outline
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.samples import fetch_sample

path = sys.argv[1] if len(sys.argv) > 1 else fetch_sample()
y, x = (int(word) for word in sys.argv[2:4] or ("2530", "800"))
with open_slide(path) as slide:
    image = slide.read_block(0, y, x, 256, 256)
    hole = vessel_outline(np.random.default_rng(7), (256, 256), radius=40)
    result = inpaint(load_generator(), image, hole, mpp=slide.mpp, method="draft", seed=1)
Image.fromarray(result.image).save("vessel.png")
