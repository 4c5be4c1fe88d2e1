"""Growing a hole: against the definition, and the number of lattice points in a disc."""

import numpy as np
import pytest

from napari_histoaug.masks import dilate, ring


@pytest.mark.parametrize("radius", [1, 2, 2.5, 5, 13])
def test_a_point_becomes_the_lattice_disc(radius: float) -> None:
    hole = np.zeros((41, 37), dtype=bool)
    hole[20, 15] = True
    y, x = np.mgrid[:41, :37]
    expected = (y - 20) ** 2 + (x - 15) ** 2 <= radius**2
    np.testing.assert_array_equal(dilate(hole, radius), expected)


def test_dilation_of_scattered_points_at_the_edges_is_the_union_of_discs() -> None:
    rng = np.random.default_rng(3)
    hole = rng.random((40, 50)) < 0.004
    hole[0, 0] = hole[39, 49] = True
    y, x = np.mgrid[:40, :50]
    expected = np.zeros_like(hole)
    for row, column in np.argwhere(hole):
        expected |= np.hypot(y - row, x - column) <= 6
    np.testing.assert_array_equal(dilate(hole, 6), expected)


def test_empty_and_zero_radius_are_copies() -> None:
    empty = np.zeros((5, 6), dtype=bool)
    assert not dilate(empty, 3).any()
    hole = np.eye(5, dtype=bool)
    grown = dilate(hole, 0)
    grown[:] = True
    assert hole.sum() == 5


def test_ring_touches_the_hole_but_is_outside_it() -> None:
    hole = np.zeros((30, 30), dtype=bool)
    hole[10:20, 10:20] = True
    around = ring(hole, 3)
    assert not (around & hole).any()
    np.testing.assert_array_equal(around | hole, dilate(hole, 3))
    # Four sides of 10 x 3 and four quarter discs without their axes.
    corner = sum(1 for y in range(1, 4) for x in range(1, 4) if y * y + x * x <= 9)
    assert around.sum() == 4 * 30 + 4 * corner
