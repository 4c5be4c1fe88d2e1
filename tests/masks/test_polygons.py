"""Filling outlines: exact rectangles, the pixel-centre rule, both coordinate conventions."""

import numpy as np
import pytest

from napari_histoaug.errors import HistoaugError
from napari_histoaug.masks import polygons_to_mask


def test_a_rectangle_on_the_grid_covers_its_area() -> None:
    mask = polygons_to_mask([[(2, 3), (2, 10), (7, 10), (7, 3)]], (12, 14))
    expected = np.zeros((12, 14), dtype=bool)
    expected[2:7, 3:10] = True
    np.testing.assert_array_equal(mask, expected)


def test_napari_vertices_count_from_pixel_centres() -> None:
    # In data coordinates of napari this rectangle surrounds the centres 2..6 and 3..9.
    mask = polygons_to_mask(
        [[(1.6, 2.6), (1.6, 9.4), (6.4, 9.4), (6.4, 2.6)]], (12, 14), pixel_centre=0.0
    )
    expected = np.zeros((12, 14), dtype=bool)
    expected[2:7, 3:10] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_circle_has_the_pixels_whose_centres_are_inside() -> None:
    angle = np.linspace(0, 2 * np.pi, 4000)
    circle = np.stack([25.3 + 17 * np.sin(angle), 30.8 + 17 * np.cos(angle)], axis=1)
    y, x = np.mgrid[:60, :60] + 0.5
    inside = np.hypot(y - 25.3, x - 30.8) <= 17
    assert (polygons_to_mask([circle], (60, 60)) != inside).sum() <= 2


def test_several_polygons_unite_and_outside_is_cut() -> None:
    first = [(-5, -5), (-5, 4), (4, 4), (4, -5)]
    second = [(2, 2), (2, 30), (6, 30), (6, 2)]
    mask = polygons_to_mask([first, second], (10, 12))
    expected = np.zeros((10, 12), dtype=bool)
    expected[:4, :4] = True
    expected[2:6, 2:] = True
    np.testing.assert_array_equal(mask, expected)


def test_nothing_drawn_is_an_empty_mask() -> None:
    assert polygons_to_mask([], (4, 5)).shape == (4, 5)
    assert not polygons_to_mask([], (4, 5)).any()


@pytest.mark.parametrize("bad", [[(1, 1), (2, 2)], [(1, 2, 3)] * 4, []])
def test_an_outline_that_is_none_is_named(bad: list) -> None:
    good = [(0, 0), (0, 3), (3, 3)]
    with pytest.raises(HistoaugError, match="Polygon 1 "):
        polygons_to_mask([good, bad], (9, 9))
