"""Label masks: exact areas, the pixel-centre rule, holes, priority, boxes and downsampling."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histoaug.annotations import (
    AnnotationError,
    ClassTable,
    Document,
    Feature,
    rasterize,
    read_geojson,
)

_spec = importlib.util.spec_from_file_location("pieces", Path(__file__).with_name("helpers.py"))
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)

VESSEL = ClassTable.from_names(["blood_vessel"])


def document(*pairs: tuple[shapely.Geometry, str | None]) -> Document:
    return Document.from_features(Feature.new(shape, name) for shape, name in pairs)


def test_a_square_with_a_hole_is_exact() -> None:
    shape = shapely.Polygon(
        [(10, 20), (40, 20), (40, 60), (10, 60)], [[(15, 30), (25, 30), (25, 50), (15, 50)]]
    )
    mask = rasterize(document((shape, "blood_vessel")), VESSEL, (0, 0, 100, 80))
    expected = np.zeros((100, 80), dtype=np.uint8)
    expected[20:60, 10:40] = 1
    expected[30:50, 15:25] = 0
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


def test_a_large_disc_with_a_hole_has_its_area() -> None:
    shape = shapely.Point(1000.3, 990.7).buffer(800, 256) - shapely.Point(900, 900).buffer(300, 256)
    mask = rasterize(document((shape, "blood_vessel")), VESSEL, (0, 0, 2000, 2000))
    assert mask.sum() == pytest.approx(shape.area, rel=1e-4)


def test_the_real_polygon_with_a_hole_has_its_area(shared_data: Path) -> None:
    only = read_geojson(shared_data / "geojson" / "holed.geojson")
    only.features[0].set_class("blood_vessel", (1, 2, 3))
    x0, y0, x1, y1 = only.features[0].geometry.bounds
    box = (int(y0), int(x0), int(y1 - y0), int(x1 - x0))
    mask = rasterize(only, VESSEL, box, (2.0, 2.0))
    assert mask.sum() * 4 == pytest.approx(only.features[0].geometry.area, rel=1e-3)
    assert len(only.features[0].geometry.interiors) == 1


@pytest.mark.parametrize(("offset", "first"), [(0.0, 3), (0.4, 3), (0.6, 4), (1.0, 4)])
def test_a_pixel_counts_when_its_centre_is_inside(offset: float, first: int) -> None:
    shape = shapely.box(3 + offset, 3 + offset, 6 + offset, 6 + offset)
    mask = rasterize(document((shape, "blood_vessel")), VESSEL, (0, 0, 12, 12))
    expected = np.zeros((12, 12), dtype=np.uint8)
    expected[first : first + 3, first : first + 3] = 1
    np.testing.assert_array_equal(mask, expected)


def test_centres_against_shapely_for_a_slanted_outline() -> None:
    shape = shapely.Polygon([(3.13, 2.77), (51.9, 11.31), (40.07, 47.3), (22.6, 30.2), (6.1, 44.9)])
    box, (dy, dx) = (1, 2, 50, 55), (1.5, 2.25)
    mask = rasterize(document((shape, "blood_vessel")), VESSEL, box, (dy, dx))
    assert mask.shape == (34, 25)
    rows, columns = np.mgrid[:34, :25] + 0.5
    inside = shapely.contains_xy(shape, 2 + columns * dx, 1 + rows * dy)
    np.testing.assert_array_equal(mask, inside)


@pytest.mark.parametrize(
    ("size", "downsample", "shape"),
    [
        ((1000, 999), (4.0, 4.0), (250, 250)),
        ((1000, 1000), (1000 / 250, 1000 / 333), (250, 333)),
        ((1, 1), (16.0, 16.0), (1, 1)),
        ((0, 5), (1.0, 1.0), (0, 5)),
    ],
)
def test_the_mask_has_the_rounded_up_shape(size: tuple, downsample: tuple, shape: tuple) -> None:
    full = document((shapely.box(-9, -9, 9999, 9999), "blood_vessel"))
    mask = rasterize(full, VESSEL, (0, 0, *size), downsample)
    assert mask.shape == shape
    assert rasterize(document(), VESSEL, (0, 0, *size), downsample).shape == shape


def test_boxes_cut_the_same_mask() -> None:
    shape = shapely.Point(33.3, 41.7).buffer(28)
    whole = rasterize(document((shape, "blood_vessel")), VESSEL, (0, 0, 90, 90))
    for y, x in itertools.product((0, 30, 60), repeat=2):
        part = rasterize(document((shape, "blood_vessel")), VESSEL, (y, x, 30, 30))
        np.testing.assert_array_equal(part, whole[y : y + 30, x : x + 30])
    moved = rasterize(document((shape, "blood_vessel")), VESSEL, (-10, -20, 90, 90))
    np.testing.assert_array_equal(moved[10:, 20:], whole[:80, :70])


def test_priority_decides_overlaps_whatever_the_order_in_the_file() -> None:
    heart = ClassTable.preset("heart")
    fat, vessel = shapely.box(0, 0, 20, 20), shapely.box(5, 5, 15, 15)
    expected = np.full((20, 20), heart.value_of("fatty_tissue"), dtype=np.uint8)
    expected[5:15, 5:15] = heart.value_of("blood_vessel")
    features = [(fat, "fatty_tissue"), (vessel, "blood_vessel")]
    for order in (features, features[::-1]):
        np.testing.assert_array_equal(rasterize(document(*order), heart, (0, 0, 20, 20)), expected)


def test_other_classes_lines_and_points_are_left_out() -> None:
    box = shapely.box(0, 0, 5, 5)
    mask = rasterize(
        document(
            (box, "tumour"),
            (box, None),
            (box, "Ignore*"),
            (shapely.LineString([(0, 0), (9, 9)]), "blood_vessel"),
            (shapely.Point(3, 3), "blood_vessel"),
        ),
        VESSEL,
        (0, 0, 10, 10),
    )
    assert not mask.any()


def test_a_derived_class_and_a_name_that_is_a_class_count() -> None:
    named = Feature.new(shapely.box(5, 0, 10, 10))
    named["properties"]["name"] = "blood_vessel"
    derived = Feature.new(shapely.box(0, 0, 5, 10), "blood_vessel: capillary")
    mask = rasterize(Document.from_features([named, derived]), VESSEL, (0, 0, 10, 10))
    assert mask.all()


def test_children_are_painted_too(tmp_path: Path) -> None:
    parent = pieces.feature([pieces.SQUARE], name="tissue")
    parent["properties"]["childObjects"] = [pieces.feature([pieces.SQUARE])]
    nested = read_geojson(pieces.save(tmp_path / "a.geojson", [parent]))
    assert rasterize(nested, VESSEL, (0, 0, 100, 100)).sum() == 30 * 40


def test_a_class_that_differs_by_case_is_not_missed_in_silence() -> None:
    other = document((shapely.box(0, 0, 5, 5), "Blood vessel"))
    with pytest.raises(AnnotationError, match=r"'Blood vessel'.*'blood_vessel'"):
        rasterize(other, VESSEL, (0, 0, 10, 10))
