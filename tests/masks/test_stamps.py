"""The packaged shapes of real vessels."""

from __future__ import annotations

import math
from importlib.resources import files

import numpy as np
import pytest
from shapely.geometry import Polygon

from napari_histoaug.masks.stamps import SIZES, VesselShape, pick_shape, vessel_shapes

SQUARE = VesselShape(
    np.array([[-10.0, -10], [-10, 10], [10, 10], [10, -10]]),
    np.array([[-5.0, -5], [-5, 5], [5, 5], [5, -5]]),
)


def test_the_bank_is_small_named_and_of_whole_vessels():
    data = files("napari_histoaug.masks").joinpath("vessel_shapes.json").read_bytes()
    assert len(data) < 300_000
    assert b"Pathology Atlas, MIT licence" in data
    # the test set's cases are in no bank
    assert b"ischemic-colitis" not in data
    assert b"breast-lobular-carcinoma" not in data
    shapes = vessel_shapes()
    assert len(shapes) > 80
    diameters = [shape.diameter for shape in shapes]
    assert diameters == sorted(diameters)
    for shape in shapes:
        vessel, lumen = Polygon(shape.vessel), Polygon(shape.lumen)
        assert shape.diameter == pytest.approx(2 * math.sqrt(vessel.area / math.pi))
        # around its centroid, up to rounding; the lumen inside
        assert math.hypot(*vessel.centroid.coords[0]) < 1
        assert lumen.intersection(vessel.buffer(0.5)).area > 0.97 * lumen.area
        assert 0.05 < lumen.area / vessel.area < 0.95
    for low, high in SIZES.values():
        assert sum(low <= diameter < high for diameter in diameters) >= 5


def test_a_shape_is_drawn_to_scale_where_it_is_asked():
    whole = SQUARE.drawn((60, 80), (20, 40), (0.5, 1.0))
    expected = np.zeros((60, 80), bool)
    expected[0:40, 30:50] = True
    np.testing.assert_array_equal(whole, expected)
    lumen = SQUARE.drawn((60, 80), (20, 40), (0.5, 1.0), "lumen")
    assert lumen.sum() == 20 * 10
    wall = SQUARE.drawn((60, 80), (20, 40), (0.5, 1.0), "wall")
    np.testing.assert_array_equal(wall, whole & ~lumen)


def test_turning_keeps_the_area_and_enlarging_scales_it():
    turned = SQUARE.turned(0.7)
    assert turned.diameter == pytest.approx(SQUARE.diameter)
    np.testing.assert_allclose(SQUARE.turned(math.pi / 2).vessel[0], (-10, 10), atol=1e-12)
    assert SQUARE.turned(0.7, 3.0).diameter == pytest.approx(3 * SQUARE.diameter)


def test_a_size_can_be_asked_for():
    rng = np.random.default_rng(0)
    for size, (low, high) in SIZES.items():
        for _ in range(20):
            assert low <= pick_shape(rng, vessel_shapes(), size).diameter < high
    picks = {round(pick_shape(rng, vessel_shapes()).diameter, 6) for _ in range(60)}
    assert len(picks) > 20


def test_a_varied_shape_keeps_its_wall_and_about_its_size() -> None:
    shape = vessel_shapes()[80]
    rng = np.random.default_rng(3)
    for _ in range(20):
        varied = shape.varied(rng, stretch=0.2, elastic=0.1)
        assert 0.6 < varied.diameter / shape.diameter < 1.6
        size = (256, 256)
        outer = varied.drawn(size, (128, 128), (0.25, 0.25))
        wall = varied.drawn(size, (128, 128), (0.25, 0.25), "wall")
        assert wall.any()
        assert (wall <= outer).all()
    same = shape.varied(np.random.default_rng(1)), shape.varied(np.random.default_rng(1))
    assert np.array_equal(same[0].vessel, same[1].vessel)
    still = shape.varied(np.random.default_rng(1), stretch=0, elastic=0)
    assert np.isclose(still.diameter, shape.diameter)
