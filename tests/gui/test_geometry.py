"""Boxes, placements and masks seen at level 0."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_histoaug.gui.geometry import (
    LARGEST,
    contains,
    group_holes,
    intersect,
    placement,
    slices,
    union,
    view_box,
    window_over,
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


def test_a_window_is_of_the_finest_level_that_fits():
    shapes = [(8000, 6001), (4000, 3001), (2000, 1501), (1000, 751)]
    whole = window_over((3000, 2000, 1000, 800), shapes, 2048)
    assert (whole.level, whole.box) == (0, (2875, 1900, 1250, 1000))
    # as wide as the limit: no room around it
    assert window_over((1000, 0, 2048, 100), shapes, 2048).box == (1000, 0, 2048, 112)
    # not at whole pixels of its level: grown outwards, and cut at the edge of the slide
    coarse = window_over((3001, 1001, 2999, 5000), shapes, 2048)
    assert coarse.level == 2
    assert coarse.step == 4
    assert coarse.box == (657, 94, 936, 1407)
    assert contains(coarse.level_0, (3001, 1001, 2999, 5000))


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
