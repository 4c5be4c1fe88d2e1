"""What was drawn becomes holes in boxes around it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.holes import Outlines, plan_holes
from napari_histoaug.masks.chunk_files import CHUNK, encode
from napari_histoaug.masks.pieces import FrozenMask

SHAPE = (3000, 2000)


def frozen(mask):
    padded = np.pad(mask.astype(np.uint8), [(0, -side % CHUNK) for side in mask.shape])
    cells = [
        (row, column)
        for row in range(padded.shape[0] // CHUNK)
        for column in range(padded.shape[1] // CHUNK)
    ]
    chunks = {
        (r, c): encode(padded[r * CHUNK : (r + 1) * CHUNK, c * CHUNK : (c + 1) * CHUNK])
        for r, c in cells
    }
    return FrozenMask({cell: data for cell, data in chunks.items() if data is not None}, 1)


def painted(rows, columns):
    mask = np.zeros((2000, 2000), bool)
    mask[rows, columns] = True
    return frozen(mask)


def test_nothing_drawn_is_a_sentence():
    with pytest.raises(HistoaugError, match="No vessel is painted yet"):
        plan_holes([painted(slice(0, 0), slice(0, 0))], SHAPE)
    with pytest.raises(HistoaugError, match="No vessel is painted yet"):
        plan_holes([], SHAPE)


def test_a_hole_gets_room_around_it_and_keeps_its_pixels():
    (plan,) = plan_holes([painted(slice(500, 800), slice(600, 640))], SHAPE)
    y, x, height, width = plan.box
    assert y <= 500 - 64
    assert y + height >= 800 + 64
    assert width >= 256
    expected = np.zeros((height, width), bool)
    expected[500 - y : 800 - y, 600 - x : 640 - x] = True
    np.testing.assert_array_equal(plan.hole, expected)


def test_far_strokes_get_a_box_each():
    mask = np.zeros((2000, 2000), bool)
    mask[100:120, 100:120] = mask[1500:1520, 1500:1520] = True
    plans = plan_holes([frozen(mask)], SHAPE)
    assert [plan.hole.sum() for plan in plans] == [400, 400]


def test_outlines_fill_the_pixels_whose_centres_they_hold():
    # in napari a pixel's centre is at its index: this square holds rows 10..19, columns 30..39
    square = np.array([[9.5, 29.5], [9.5, 39.5], [19.5, 39.5], [19.5, 29.5]])
    outline = Outlines([square])
    assert outline.boxes() == [(10, 30, 10, 10)]
    (plan,) = plan_holes([outline], SHAPE)
    expected = np.zeros(plan.box[2:], bool)
    y, x = 10 - plan.box[0], 30 - plan.box[1]
    expected[y : y + 10, x : x + 10] = True
    np.testing.assert_array_equal(plan.hole, expected)


def test_a_mask_outside_the_slide_is_a_sentence():
    away = np.array([[-500.0, -500], [-500, -400], [-400, -400]])
    with pytest.raises(HistoaugError, match="outside the slide"):
        plan_holes([Outlines([away])], SHAPE)


def test_the_part_of_an_outline_beyond_the_slide_is_dropped():
    across = np.array([[-40.5, 99.5], [-40.5, 139.5], [19.5, 139.5], [19.5, 99.5]])
    (plan,) = plan_holes([Outlines([across])], SHAPE)
    assert plan.box[0] >= 0
    assert plan.hole.sum() == 20 * 40


def test_a_huge_hole_is_a_sentence():
    huge = np.array([[0.0, 0], [0, 9000], [9000, 9000], [9000, 0]])
    with pytest.raises(HistoaugError, match="zoom in"):
        plan_holes([Outlines([huge])], (20_000, 20_000))


def test_a_finely_scanned_slide_gives_the_network_as_much_tissue():
    drawing = painted(slice(1000, 1020), slice(1000, 1020))
    (coarse,) = plan_holes([drawing], SHAPE, (0.5, 0.5))
    (fine,) = plan_holes([drawing], SHAPE, (0.25, 0.25))
    assert coarse.box[2:] == (256, 256)
    assert fine.box[2:] == (512, 512)
    assert fine.hole.sum() == coarse.hole.sum()
