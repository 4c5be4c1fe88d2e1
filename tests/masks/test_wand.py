"""The wand's colours against scikit-image, and its regions."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from napari_histoaug.masks.wand import to_lab, wand_region


def test_colours_are_those_of_scikit_image():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    np.testing.assert_allclose(to_lab(image), rgb2lab(image), atol=0.02)


def test_the_region_is_the_connected_piece_of_like_colour_without_holes():
    image = np.full((80, 90, 3), (230, 170, 200), np.uint8)
    image[20:50, 20:60] = (180, 40, 60)
    image[30:34, 30:34] = (240, 240, 240)
    image[20:50, 70:80] = (180, 40, 60)
    expected = np.zeros((80, 90), bool)
    expected[20:50, 20:60] = True
    np.testing.assert_array_equal(wand_region(image, (25, 25), 20, smoothing=0), expected)
    # everything looks alike to a generous wand
    assert wand_region(image, (25, 25), 200).all()
    # grain does not tear it
    grain = np.random.default_rng(1).normal(0, 12, image.shape)
    grainy = np.clip(image + grain, 0, 255).astype(np.uint8)
    found = wand_region(grainy, (25, 25), 25)
    assert (found & expected).sum() / (found | expected).sum() > 0.9
