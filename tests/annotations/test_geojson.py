"""GeoJSON round trips: JSON-equal for what was not touched, a sentence for what is broken."""

import gzip
import importlib.util
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histoaug.annotations import (
    AnnotationError,
    AnnotationIndex,
    AnnotationWarning,
    Document,
    Feature,
    QuPathWarning,
    read_geojson,
    write_geojson,
)
from napari_histoaug.errors import Cancelled

_spec = importlib.util.spec_from_file_location("pieces", Path(__file__).with_name("helpers.py"))
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)
feature, collection, save = pieces.feature, pieces.collection, pieces.save
SQUARE, BOW_TIE = pieces.SQUARE, pieces.BOW_TIE


def round_trip(path: Path) -> Any:
    target = path.with_name("again.geojson")
    write_geojson(read_geojson(path), target)
    return json.loads(target.read_text())


@pytest.mark.parametrize(
    ("name", "count"),
    [("dlup_test.geojson", 3), ("holed.geojson", 1), ("sample.geojson", 10)],
)
def test_real_files_come_back_json_equal(
    shared_data: Path, tmp_path: Path, name: str, count: int
) -> None:
    source = shared_data / "geojson" / name
    document = read_geojson(source)
    assert len(document.features) == count
    write_geojson(document, tmp_path / name)
    assert json.loads((tmp_path / name).read_text()) == json.loads(source.read_text())


TOPS = {
    "collection": collection(feature([SQUARE]), feature([SQUARE], name=None)),
    "collection with members": {
        "crs": {"x": 1},
        **collection(feature([SQUARE])),
        "größe": [None, {"µm": 0.25}],
    },
    "array": [feature([SQUARE]), feature([SQUARE])],
    "nested array": [[feature([SQUARE])], [], [feature([SQUARE]), [feature([SQUARE])]]],
    "array of collections": [collection(feature([SQUARE])), feature([SQUARE])],
    "single": feature([SQUARE]),
    "geometry": {"type": "Polygon", "coordinates": [SQUARE], "plane": {"c": -1, "z": 2, "t": 0}},
    "empty collection": collection(),
    "empty array": [],
}


@pytest.mark.parametrize("top", TOPS.values(), ids=TOPS.keys())
def test_every_top_level_form_comes_back(tmp_path: Path, top: Any) -> None:
    assert round_trip(save(tmp_path / "a.geojson", top)) == top


UNUSUAL = {
    "legacy colour": {"properties": {"classification": {"name": "a", "colorRGB": -3670016}}},
    "names": {"properties": {"classification": {"names": ["a", "b"], "color": [1, 2, 3]}}},
    "text class": {"properties": {"classification": "a"}},
    "no class": {"properties": {"classification": {}}},
    "null class": {"properties": {"classification": None}},
    "no properties": {"properties": None},
    "root": {"geometry": None},
    "empty geometry": {"geometry": {}},
    "ellipse and plane": {
        "geometry": {
            "type": "Polygon",
            "coordinates": [SQUARE],
            "isEllipse": True,
            "plane": {"c": -1, "z": 1, "t": 2},
        }
    },
    "three dimensions": {"geometry": {"type": "Point", "coordinates": [1, 2, 3]}},
    "lines": {"geometry": {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]]]}},
    "points": {"geometry": {"type": "MultiPoint", "coordinates": [[0, 0], [1, 1]]}},
    "measurements": {"properties": {"measurements": {"area": "NaN", "mean": 1e-300}}},
    "unknown": {"properties": {"isLocked": True, "x:y": [1, [2]]}, "extra": {"deep": [None]}},
    "children": {"properties": {"childObjects": [feature([SQUARE], extra=1)]}},
    "nucleus": {"nucleusGeometry": {"type": "Polygon", "coordinates": [SQUARE]}},
}


@pytest.mark.parametrize("members", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_features_come_back_json_equal(tmp_path: Path, members: dict) -> None:
    top = collection({**feature([SQUARE]), **members})
    assert round_trip(save(tmp_path / "a.geojson", top)) == top


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
members = st.dictionaries(
    st.text().filter(lambda k: k not in {"type", "features", "geometry", "properties"}),
    json_values,
    max_size=3,
)
odd_properties = st.dictionaries(
    st.text().filter(lambda k: k not in {"classification", "childObjects", "children"}),
    json_values,
    max_size=3,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(top=members, own=members, properties=odd_properties)
def test_unknown_members_survive(tmp_path: Path, top: dict, own: dict, properties: dict) -> None:
    odd = {"type": "Feature", **own, "geometry": None, "properties": properties}
    value = {"type": "FeatureCollection", **top, "features": [odd]}
    assert round_trip(save(tmp_path / "a.geojson", value)) == value


def test_editing_one_feature_leaves_the_others_alone(tmp_path: Path) -> None:
    plane = {"c": -1, "z": 3, "t": 0}
    first = feature([SQUARE])
    first["geometry"] |= {"plane": plane, "isEllipse": True}
    source = save(tmp_path / "a.geojson", collection(first, feature([SQUARE], extra=[1])))
    document = read_geojson(source)
    document.features[0].geometry = shapely.box(1, 2, 3, 4)
    document.features[0].set_class("inflammation", (1, 2, 3))
    document.features.append(Feature.new(shapely.Point(5, 6), "fatty_tissue", (9, 9, 9)))
    write_geojson(document, tmp_path / "b.geojson")
    written = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert shapely.geometry.shape(written[0]["geometry"]).equals(shapely.box(1, 2, 3, 4))
    assert written[0]["geometry"]["plane"] == plane
    assert "isEllipse" not in written[0]["geometry"]
    assert written[0]["properties"]["classification"] == {
        "name": "inflammation",
        "color": [1, 2, 3],
    }
    assert written[0]["id"] == first["id"]
    assert written[1] == feature([SQUARE], extra=[1])
    assert written[2]["geometry"] == {"type": "Point", "coordinates": [5.0, 6.0]}


def test_taking_and_adding_features_changes_the_form_only_when_it_must(tmp_path: Path) -> None:
    document = read_geojson(save(tmp_path / "a.geojson", feature([SQUARE])))
    document.features.append(Feature.new(shapely.box(0, 0, 1, 1)))
    assert document.to_json()["type"] == "FeatureCollection"
    nested = read_geojson(save(tmp_path / "b.geojson", [[feature([SQUARE])], [feature([SQUARE])]]))
    del nested.features[0]
    assert nested.to_json() == [feature([SQUARE])]


def test_classes_and_colours_in_every_form(tmp_path: Path) -> None:
    forms = [
        ("a", ("a", None)),
        ({"name": " a ", "color": [1, 2, 3]}, ("a", (1, 2, 3))),
        ({"name": "a", "color": [1, 2, 3, 255]}, ("a", (1, 2, 3))),
        ({"names": ["a", "b"], "color": [1, 2, 3]}, ("a: b", (1, 2, 3))),
        # -3670016 is 0xFFC80000: opaque, 200 red.
        ({"name": "a", "colorRGB": -3670016}, ("a", (200, 0, 0))),
        ({"name": "a", "color": -3670016}, ("a", (200, 0, 0))),
        ({}, None),
        (None, None),
    ]
    features = [{**feature([SQUARE]), "properties": {"classification": form}} for form, _ in forms]
    document = read_geojson(save(tmp_path / "a.geojson", features))
    assert [f.classification for f in document.features] == [expected for _, expected in forms]
    assert document.class_counts() == {"a": 5, "a: b": 1, None: 2}


def test_walk_visits_children_after_their_parent(tmp_path: Path) -> None:
    child = feature([SQUARE], name="child")
    parent = feature([SQUARE], name="parent")
    parent["properties"]["childObjects"] = [child]
    document = read_geojson(save(tmp_path / "a.geojson", [parent, feature([SQUARE], name="last")]))
    assert [f.class_name for f in document.walk()] == ["parent", "child", "last"]


def test_byte_order_mark_and_gzip_are_read_and_gzip_is_written(tmp_path: Path) -> None:
    value = collection(feature([SQUARE], note="Gefäß"))
    text = json.dumps(value, ensure_ascii=False)
    (tmp_path / "bom.geojson").write_text(text, encoding="utf-8-sig")
    (tmp_path / "packed.geojson.gz").write_bytes(gzip.compress(text.encode()))
    assert read_geojson(tmp_path / "bom.geojson").to_json() == value
    document = read_geojson(tmp_path / "packed.geojson.gz")
    write_geojson(document, tmp_path / "out.geojson.gz")
    assert json.loads(gzip.decompress((tmp_path / "out.geojson.gz").read_bytes())) == value


def test_zip_archives_are_read_and_written(tmp_path: Path) -> None:
    value = collection(feature([SQUARE], note="Gefäß"))
    document = read_geojson(save(tmp_path / "a.geojson", value))
    write_geojson(document, tmp_path / "packed.zip")
    assert read_geojson(tmp_path / "packed.zip").to_json() == value
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
        archive.writestr("__MACOSX/._a.geojson", b"\x00")
        archive.writestr("a.geojson", json.dumps(value))
        archive.writestr("b.JSON", json.dumps([feature([SQUARE])]))
    assert read_geojson(tmp_path / "two.zip").to_json() == [value, [feature([SQUARE])]]
    assert len(AnnotationIndex.from_file(tmp_path / "two.zip")) == 2
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(AnnotationError, match=r"none\.zip holds no \.geojson"):
        read_geojson(tmp_path / "none.zip")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_read_when_they_are_named(tmp_path: Path, encoding: str) -> None:
    value = collection(feature([SQUARE], name="Gefäß"))
    path = tmp_path / "a.geojson"
    path.write_bytes(json.dumps(value, ensure_ascii=False).encode(encoding))
    with pytest.raises(AnnotationError, match="not UTF-8"):
        read_geojson(path)
    assert read_geojson(path, encoding=encoding).to_json() == value
    assert AnnotationIndex.from_file(path, encoding=encoding).class_counts() == {"Gefäß": 1}
    with pytest.raises(AnnotationError, match="no text encoding 'latin-eins'"):
        read_geojson(path, encoding="latin-eins")
    with pytest.raises(AnnotationError, match="not ascii text"):
        read_geojson(path, encoding="ascii")


@pytest.mark.parametrize("read", [read_geojson, AnnotationIndex.from_file])
def test_reading_says_how_far_it_is_and_can_be_stopped(tmp_path: Path, read: Any) -> None:
    path = save(tmp_path / "a.geojson", [feature([SQUARE])] * 5000)
    seen: list[tuple[int, int]] = []
    read(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size,) * 2
    with pytest.raises(Cancelled):
        read(path, cancelled=lambda: True)


def test_of_duplicate_members_the_last_counts(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(
        '{"type":"Feature","geometry":null,"properties":{"metadata":{"a":"1"},"metadata":{"b":"2"}}}'
    )
    (only,) = read_geojson(tmp_path / "a.geojson").features
    assert only.properties["metadata"] == {"b": "2"}


def with_geometry(kind: str, coordinates: object) -> dict:
    return {**feature([SQUARE]), "geometry": {"type": kind, "coordinates": coordinates}}


BROKEN = {
    "not an object": 5,
    "not a feature": {"type": "Fruit"},
    "unknown geometry": with_geometry("Circle", [1, 2]),
    "no coordinates": {**feature([SQUARE]), "geometry": {"type": "Polygon"}},
    "two-point ring": with_geometry("Polygon", [[[0, 0], [1, 1]]]),
    "closed two-point ring": with_geometry("Polygon", [[[0, 0], [1, 1], [0, 0]]]),
    "text position": with_geometry("Polygon", [[["1", 0], [1, 1], [0, 5], [1, 0]]]),
    "flat ring": with_geometry("Polygon", [0, 0, 1, 1]),
    "null": with_geometry("Polygon", [[[0, 0], [None, 1], [5, 5], [0, 0]]]),
    "infinite": with_geometry("Polygon", [[[0, 0], [float("inf"), 1], [5, 5], [0, 0]]]),
    "nan corner": with_geometry("Polygon", [[[0, 0], [float("nan"), 1], [5, 5], [0, 0]]]),
    "unclosed ring": with_geometry("Polygon", [SQUARE[:-1]]),
    "unclosed hole": with_geometry("Polygon", [SQUARE, [[1, 1], [2, 2], [1, 2], [1, 3]]]),
    "three positions": with_geometry("MultiPolygon", [[[[0, 0], [1, 1], [0, 0]]]]),
    "nan": with_geometry("Point", [float("nan"), 1]),
    "one coordinate": with_geometry("LineString", [[1], [2]]),
    "bad part": {
        **feature([SQUARE]),
        "geometry": {"type": "GeometryCollection", "geometries": [{"type": "Circle"}]},
    },
    "bad properties": {**feature([SQUARE]), "properties": [1]},
    "bad class": {**feature([SQUARE]), "properties": {"classification": 7}},
    "bad class name": {**feature([SQUARE]), "properties": {"classification": {"name": [7]}}},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("read", [read_geojson, AnnotationIndex.from_file])
def test_a_broken_feature_is_listed_and_the_others_are_kept(
    tmp_path: Path, broken: Any, read: Any
) -> None:
    right = feature([SQUARE])
    path = save(tmp_path / "cells.geojson", collection(right, broken, right))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnotationWarning)
        found = read(path)
    (problem,) = found.problems
    assert not problem.kept
    assert problem.sentence.startswith("Feature 1")
    if isinstance(broken, dict) and "id" in broken:
        assert f"({broken['id']})" in problem.sentence
    count = found.count if read == AnnotationIndex.from_file else len(found.features)
    assert count == 2


def test_broken_features_are_warned_about_and_written_back(tmp_path: Path) -> None:
    top = collection(BROKEN["not an object"], feature([SQUARE]), BROKEN["null"], feature([SQUARE]))
    path = save(tmp_path / "cells.geojson", top)
    with pytest.warns(AnnotationWarning, match=r"^2 features of cells\.geojson .*Feature 0 .*null"):
        document = read_geojson(path)
    with pytest.warns(QuPathWarning, match="feature 2 has a Polygon with a coordinate"):
        write_geojson(document, tmp_path / "b.geojson")
    assert json.loads((tmp_path / "b.geojson").read_text()) == top
    document.features[1].set_class("inflammation", (1, 2, 3))
    written = document.to_json()["features"]
    assert written[0] == 5
    assert written[2] == BROKEN["null"]
    assert written[3]["properties"]["classification"]["name"] == "inflammation"


def test_a_bow_tie_is_listed_and_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.geojson", [feature([SQUARE]), feature([BOW_TIE])])
    for found in (read_geojson(path), AnnotationIndex.from_file(path)):
        (problem,) = found.problems
        assert problem.kept
        start = f"Feature 1 ({feature([])['id']}) is not a valid polygon"
        assert problem.sentence.startswith(start)


def test_a_broken_child_is_named_and_kept_in_its_place(tmp_path: Path) -> None:
    parent = feature([SQUARE])
    circle = with_geometry("Circle", [])
    parent["properties"]["childObjects"] = [feature([SQUARE]), circle]
    path = save(tmp_path / "a.geojson", [parent])
    with pytest.warns(AnnotationWarning, match=r"Feature 0, child 1, "):
        document = read_geojson(path)
    assert len(list(document.walk())) == 2
    assert document.to_json() == [parent]
    assert AnnotationIndex.from_file(path).problems[0].place == "Feature 0, child 1,"


@pytest.mark.parametrize("read", [read_geojson, AnnotationIndex.from_file])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b'{"type": "FeatureCollection",\n "features": [}', "not valid JSON"),
        (b'{"type": "FeatureCollection", "features": [{"type": "Fea', "not valid JSON"),
        (b'[{"type": "Feature"}, {"type": "Feature" "a"}]', "not valid JSON"),
        (b'{"a": 1}', "not GeoJSON"),
        (b'"text"', "not GeoJSON"),
        (b'{"type": "FeatureCollection"}', "without features"),
        (b'[{"name": "\xe4"}]', r"not UTF-8 .*byte \d+"),
        (b'{"name": "\xe4"}', r"byte 10"),
        (b"PK\x03\x04rest", "damaged or locked zip"),
        (b"\x1f\x8b\x08\x00half", "damaged gzip"),
        (gzip.compress(b"[" + b" " * 9999 + b"]")[:-9], "damaged gzip"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_an_unusable_file_is_one_sentence(
    tmp_path: Path, content: bytes, sentence: str, read: Any
) -> None:
    path = tmp_path / "cells.geojson"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=sentence) as caught:
        read(path)
    assert "cells.geojson" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="There is no annotation file"):
        read_geojson(tmp_path / "none.geojson")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_geojson(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = save(tmp_path / "a.geojson", collection(feature([SQUARE])))
    document = read_geojson(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AnnotationError, match="No space left on device"):
        write_geojson(document, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.geojson"]


def test_writing_into_a_file_instead_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnnotationError, match="cannot be written"):
        write_geojson(Document.from_features([]), tmp_path / "file" / "a.geojson")


def test_what_qupath_would_refuse_is_warned_about_and_written_as_it_is(tmp_path: Path) -> None:
    colourless = feature([SQUARE])
    del colourless["properties"]["classification"]["color"]
    top = collection(feature([SQUARE]), feature([BOW_TIE]), colourless)
    document = read_geojson(save(tmp_path / "a.geojson", top))
    with pytest.warns(QuPathWarning, match=r"feature 1 is not a valid.*feature 2 has a class"):
        write_geojson(document, tmp_path / "b.geojson")
    assert json.loads((tmp_path / "b.geojson").read_text()) == top


def test_what_qupath_accepts_is_not_warned_about(tmp_path: Path) -> None:
    document = read_geojson(save(tmp_path / "a.geojson", collection(feature([SQUARE]))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_geojson(document, tmp_path / "b.geojson")
    written = json.loads((tmp_path / "b.geojson").read_text())
    assert written == collection(feature([SQUARE]))
