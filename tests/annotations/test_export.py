"""The strict export, reopened and measured; nothing here runs QuPath itself."""

import importlib.util
import json
import uuid
from pathlib import Path

import pytest
import shapely

from napari_histoaug.annotations import ClassTable, export_for_qupath, read_geojson

_spec = importlib.util.spec_from_file_location("pieces", Path(__file__).with_name("helpers.py"))
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)
feature, collection, save = pieces.feature, pieces.collection, pieces.save
SQUARE, BOW_TIE = pieces.SQUARE, pieces.BOW_TIE


def export(folder: Path, value: object, **options: object) -> tuple[list[dict], list[str]]:
    document = read_geojson(save(folder / "in.geojson", value))
    report = export_for_qupath(document, folder / "out.geojson", **options)

    def no_constants(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    written = json.loads((folder / "out.geojson").read_text(), parse_constant=no_constants)
    assert written["type"] == "FeatureCollection"
    return written["features"], report


def assert_qupath_takes(written: dict) -> None:
    assert written["type"] == "Feature"
    uuid.UUID(written["id"])
    geometry = shapely.geometry.shape(written["geometry"])
    assert geometry.is_valid
    coordinates = shapely.get_coordinates(geometry)
    assert (coordinates == coordinates.round(2)).all()
    classification = written["properties"].get("classification")
    if classification is not None:
        assert classification.keys() in ({"name", "color"}, {"names", "color"})
        assert len(classification["color"]) == 3


@pytest.mark.parametrize("name", ["dlup_test.geojson", "holed.geojson", "sample.geojson"])
def test_real_files_keep_their_areas(shared_data: Path, tmp_path: Path, name: str) -> None:
    document = read_geojson(shared_data / "geojson" / name)
    export_for_qupath(document, tmp_path / name)
    again = read_geojson(tmp_path / name)
    assert len(again.features) == len(document.features)
    for before, after in zip(document.features, again.features, strict=True):
        assert_qupath_takes(after)
        if before.geometry.is_valid:
            assert after.geometry.area == pytest.approx(before.geometry.area, rel=1e-3)


def test_a_right_feature_is_not_changed_or_reported(tmp_path: Path) -> None:
    right = feature([SQUARE, [[15, 25], [15, 30], [20, 30], [15, 25]]])
    right["properties"] |= {"name": "x", "isLocked": True, "measurements": {"a": 1.5}}
    (written,), report = export(tmp_path, collection(right))
    assert report == []
    assert written == right


def test_a_bow_tie_keeps_its_whole_area_and_is_reported(tmp_path: Path) -> None:
    (_, written), report = export(tmp_path, [feature([SQUARE]), feature([BOW_TIE])])
    assert_qupath_takes(written)
    assert shapely.geometry.shape(written["geometry"]).area == 5000
    (sentence,) = report
    assert sentence.startswith("Feature 1 was invalid (self-intersection)")
    assert "5000.00" in sentence


def test_crossing_holes_and_slivers_are_valid_on_the_grid(tmp_path: Path) -> None:
    hole_outside = feature([SQUARE, [[30, 30], [60, 30], [60, 40], [30, 40], [30, 30]]])
    sliver = feature([[[0, 0], [10, 0.001], [20, 0], [10, 5], [10, 0.0012], [0, 0]]])
    features, report = export(tmp_path, [hole_outside, sliver])
    for written in features:
        assert_qupath_takes(written)
    assert shapely.geometry.shape(features[0]["geometry"]).area == 30 * 40 - 10 * 10
    assert len(report) == 2


def test_random_crossing_outlines_become_valid(tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    outlines = [rng.uniform(0, 20, (12, 2)).tolist() for _ in range(60)]
    features, report = export(tmp_path, [feature([[*o, o[0]]]) for o in outlines])
    assert len(features) == len(outlines)
    assert len(report) >= 55
    for written in features:
        assert_qupath_takes(written)


def test_coordinates_are_rounded_to_hundredths_and_multipolygons_stay(tmp_path: Path) -> None:
    multi = feature([])
    multi["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [[[[0.123456, 0], [100.987654, 0, 7], [100, 100.555], [0.123456, 0]]]],
        "plane": {"c": -1, "z": 4, "t": 0},
    }
    (written,), report = export(tmp_path, multi)
    assert_qupath_takes(written)
    assert report == []
    assert written["geometry"]["type"] == "MultiPolygon"
    assert written["geometry"]["plane"]["z"] == 4
    assert written["geometry"]["coordinates"][0][0][1] == [100.99, 0.0]


def test_every_classification_gets_a_colour(tmp_path: Path) -> None:
    forms = ["fat", {"name": "vessel"}, {"names": ["fat", "brown"]}, {"name": "x", "colorRGB": -1}]
    features = [{**feature([SQUARE]), "properties": {"classification": f}} for f in forms]
    table = ClassTable.from_names(["vessel"])
    written, _ = export(tmp_path, features, classes=table)
    assert [f["properties"]["classification"] for f in written] == [
        {"name": "fat", "color": [64, 64, 64]},
        {"name": "vessel", "color": list(table.colors[0])},
        {"names": ["fat", "brown"], "color": [64, 64, 64]},
        {"name": "x", "color": [255, 255, 255]},
    ]


def test_older_members_are_brought_up_to_date(tmp_path: Path) -> None:
    old = feature([SQUARE])
    old |= {"id": "PathAnnotationObject"}
    old["properties"] = {
        "type": "detection",
        "measurements": [{"name": "a", "value": float("nan")}, {"name": "b", "value": 2}],
        "children": [feature([SQUARE], name="child")],
    }
    (written,), report = export(tmp_path, old)
    assert report == []
    assert_qupath_takes(written)
    properties = written["properties"]
    assert properties["objectType"] == "detection"
    assert properties["measurements"] == {"a": "NaN", "b": 2}
    assert_qupath_takes(properties["childObjects"][0])
    assert not {"type", "children"} & properties.keys()


def test_what_cannot_be_kept_is_left_out_and_reported(tmp_path: Path) -> None:
    line = feature([[[0, 0], [5, 5], [10, 10], [0, 0]]])
    nothing = {**feature([SQUARE]), "geometry": None}
    mixed = {
        **feature([]),
        "geometry": {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [1, 1]},
                {"type": "Polygon", "coordinates": [SQUARE]},
            ],
        },
    }
    features, report = export(tmp_path, [line, nothing, mixed])
    assert len(features) == 1
    assert shapely.geometry.shape(features[0]["geometry"]).area == 1200
    assert [sentence.split(" ")[1] for sentence in report] == ["0", "1", "2"]


def test_the_document_is_not_changed_and_the_export_repeats(tmp_path: Path) -> None:
    value = collection({**feature([BOW_TIE]), "id": "none"})
    document = read_geojson(save(tmp_path / "in.geojson", value))
    export_for_qupath(document, tmp_path / "a.geojson")
    export_for_qupath(document, tmp_path / "b.geojson")
    assert document.to_json() == value
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
