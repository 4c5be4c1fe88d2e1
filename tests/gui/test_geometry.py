"""Boxes, placements and masks seen at level 0."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_histoaug.gui.geometry import (
    LARGEST,
    choose_level,
    group_holes,
    intersect,
    placement,
    slices,
    stretch,
    union,
    view_box,
)

SLIDE = (10_000, 10_000)


@pytest.mark.parametrize("downsample", [(1.0, 1.0), (2.0, 2.0), (4.003, 3.997)])
def test_a_placed_layer_shares_its_pixel_edges_with_level_0(downsample):
    mpp, box = (0.499, 0.25), (1234, 777, 40, 60)
    scale, translate = placement(box, downsample, mpp)
    canvas = Labels(np.zeros((10, 15), np.uint8), scale=scale, translate=translate)
    slide = Image(np.zeros((8, 8, 3), np.uint8), rgb=True, scale=mpp)
    for i, j in [(0, 0), (3, 7), (10, 15)]:
        # napari: index - 0.5 is the near edge of a pixel
        at = slide.world_to_data(canvas.data_to_world((i - 0.5, j - 0.5)))
        expected = (box[0] + i * downsample[0] - 0.5, box[1] + j * downsample[1] - 0.5)
        np.testing.assert_allclose(at, expected, atol=1e-9)


def test_the_view_is_the_pixels_on_the_screen():
    # 100 x 60 screen pixels at 2 a micrometre around (50, 40) um, 0.5 um a pixel: 100 x 60 pixels
    # and the halves at both edges
    assert view_box((50.0, 40.0), 2.0, (100, 60), (0.5, 0.5)) == (50, 50, 101, 61)


def test_boxes_meet_and_join():
    assert intersect((0, 0, 10, 10), (5, 8, 10, 10)) == (5, 8, 5, 2)
    assert intersect((0, 0, 10, 10), (10, 0, 5, 5)) is None
    assert union((0, 0, 10, 10), (5, -8, 10, 10)) == (0, -8, 15, 18)
    assert slices((12, 25, 3, 4), (10, 20, 30, 30)) == (slice(2, 5), slice(5, 9))


def test_the_finest_level_that_fits_is_chosen():
    steps = [(1.0, 1.0), (4.0, 4.0), (16.0, 16.0)]
    assert choose_level((0, 0, 2048, 2048), steps, 2048) == 0
    assert choose_level((0, 0, 2049, 100), steps, 2048) == 1
    assert choose_level((0, 0, 90_000, 90_000), steps, 2048) == 2


def test_near_holes_share_a_box_and_far_ones_do_not():
    near = group_holes([(100, 100, 20, 20), (180, 100, 20, 20)], SLIDE)
    assert near == [(100, 100, 100, 20)]
    far = group_holes([(100, 100, 20, 20), (5000, 5000, 20, 20)], SLIDE)
    assert sorted(far) == [(100, 100, 20, 20), (5000, 5000, 20, 20)]


def test_a_chain_of_near_holes_becomes_one():
    chain = [(100, x, 20, 20) for x in (100, 500, 300)]
    assert group_holes(chain, SLIDE) == [(100, 100, 20, 420)]


def test_holes_are_not_joined_beyond_the_largest_size():
    long = [(0, 0, 50, LARGEST - 10), (0, LARGEST, 50, 200)]
    assert len(group_holes(long, SLIDE)) == 2


@pytest.mark.parametrize("downsample", [(1.0, 1.0), (2.0, 3.0), (2.5, 1.25)])
def test_a_stretched_mask_is_nearest_neighbour(downsample):
    random = np.random.default_rng(0)
    mask = random.random((7, 9)) < 0.5
    origin, box = (20.0, 30.0), (15, 25, 40, 45)
    expected = np.zeros(box[2:], bool)
    for i in range(box[2]):
        for j in range(box[3]):
            a = int(np.floor((box[0] + i + 0.5 - origin[0]) / downsample[0]))
            b = int(np.floor((box[1] + j + 0.5 - origin[1]) / downsample[1]))
            if 0 <= a < 7 and 0 <= b < 9:
                expected[i, j] = mask[a, b]
    assert expected.any()
    np.testing.assert_array_equal(stretch(mask, origin, downsample, box), expected)
