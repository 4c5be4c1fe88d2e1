"""The areas of a document: touching ones unite, several classes need a choice, the slide cuts."""

import pytest
import shapely

from napari_histoaug.annotations import AnnotationError, Document, Feature, connected_areas

SHAPE = (1000, 800)


def document(*pairs: tuple[shapely.Geometry, str | None]) -> Document:
    return Document.from_features(Feature.new(shape, name) for shape, name in pairs)


def areas(*pairs: tuple[shapely.Geometry, str | None], name: str = "blood_vessel") -> list:
    return connected_areas(document(*pairs), name, SHAPE, "a.geojson")


def test_overlapping_outlines_are_one_area_in_order_from_the_top() -> None:
    found = areas(
        (shapely.box(0, 500, 10, 510), "blood_vessel"),
        (shapely.box(100, 100, 110, 110), "blood_vessel"),
        (shapely.box(105, 105, 120, 120), "blood_vessel"),
    )
    assert [part.area for part in found] == [100 + 225 - 25, 100]


def test_holes_stay_and_the_slide_cuts() -> None:
    frame = shapely.box(700, 0, 900, 200) - shapely.box(710, 50, 720, 60)
    (only,) = areas((frame, None))
    assert only.area == 100 * 200 - 100


def test_of_several_classes_one_is_taken_with_its_derived_classes() -> None:
    found = areas(
        (shapely.box(0, 0, 10, 10), "blood_vessel: capillary"),
        (shapely.box(0, 20, 10, 30), "blood_vessel"),
        (shapely.box(0, 40, 10, 50), "fatty_tissue"),
        (shapely.box(0, 60, 10, 70), None),
    )
    assert [part.bounds[1] for part in found] == [0, 20]


def test_a_crossing_outline_keeps_its_whole_area() -> None:
    bow_tie = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    assert sum(part.area for part in areas((bow_tie, "blood_vessel"))) == 5000


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([], "holds no polygon; draw"),
        ([(shapely.LineString([(0, 0), (5, 5)]), "blood_vessel")], "holds no polygon; draw"),
        ([(shapely.box(0, 0, 5, 5), "a"), (shapely.box(0, 0, 5, 5), None)], "a, unclassified"),
        ([(shapely.box(900, 0, 950, 50), "blood_vessel")], "inside the slide"),
        ([(shapely.box(800, 0, 950, 50), "blood_vessel")], "inside the slide"),
    ],
)
def test_nothing_to_fill_is_a_sentence(pairs: list, sentence: str) -> None:
    with pytest.raises(AnnotationError, match=sentence):
        areas(*pairs)
