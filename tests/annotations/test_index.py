"""Indexes of files read feature by feature, against documents read whole."""

import importlib.util
import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histoaug.annotations import (
    AnnotationIndex,
    ClassTable,
    Document,
    Feature,
    rasterize,
    rasterize_channels,
    read_geojson,
)
from napari_histoaug.annotations.scanning import FeatureText

_spec = importlib.util.spec_from_file_location("pieces", Path(__file__).with_name("helpers.py"))
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)
feature, collection, save = pieces.feature, pieces.collection, pieces.save
SQUARE, BOW_TIE = pieces.SQUARE, pieces.BOW_TIE
ODD = ['a "quoted\\" [b]', "}]{[", "\\", '\\"', "ü€\U0001f600", ""]


def scanned(text: str, piece: int) -> list[Any]:
    found = FeatureText(io.BytesIO(text.encode()), piece)
    return [json.loads(element) for batch in found.batches() for element in batch]


@settings(max_examples=80)
@given(
    st.lists(st.sampled_from(ODD) | st.text(max_size=4), min_size=1, max_size=6),
    st.integers(7, 90),
    st.sampled_from([None, 0, 2]),
)
def test_features_are_cut_where_they_end(names: list[str], piece: int, indent: int | None) -> None:
    values = [{"type": "Feature", "x": name, name: [{"a": [name, {}]}]} for name in names]
    for top in (values, {"crs": {"features": [1]}, "type": "x", "features": values, "z": {"a": 1}}):
        for escaped in (True, False):
            text = json.dumps(top, indent=indent, ensure_ascii=escaped)
            assert scanned("\ufeff" + text, piece) == values
    nested = json.dumps([[values[0]], [], [[values[1:]]], 5, "a", None], indent=indent)
    assert scanned(nested, piece) == [*values, 5, "a", None]


@pytest.mark.parametrize("text", ['{"a": {"b": []}}', "5", '{"features": 3}'])
def test_texts_without_a_list_of_features_are_given_whole(text: str) -> None:
    assert scanned(text, 4) == [json.loads(text)]


@pytest.mark.parametrize("text", ["[]", "[ [], [[]] ]", '{"features": [], "a": "]"}'])
def test_an_empty_list_has_no_features(text: str) -> None:
    assert scanned(text, 4) == []


def mixed(count: int, seed: int = 0) -> dict[str, Any]:
    """Polygons with and without holes, several parts, collections, lines and children."""
    rng = np.random.default_rng(seed)
    features = []
    for i in range(count):
        x, y = rng.uniform(0, 400, 2).round(2).tolist()
        outer = shapely.Point(x, y).buffer(rng.uniform(2, 30), 8)
        shape = outer.difference(shapely.Point(x, y).buffer(1.5)) if i % 3 else outer
        if i % 4 == 1:
            shape = shapely.MultiPolygon([shape, shapely.box(x + 40, y, x + 47.5, y + 3)])
        made = json.loads(json.dumps(Feature.new(shape, ("a", "b", "c")[i % 3])))
        if i % 7 == 3:
            made["geometry"] = {"type": "LineString", "coordinates": [[0, 0], [x, y]]}
        if i % 7 == 5:
            made["geometry"] = {"type": "GeometryCollection", "geometries": [made["geometry"]]}
        if i % 5 == 2:
            made["properties"]["childObjects"] = [feature([SQUARE], name="child")]
        if i % 11 == 4:
            made["geometry"] = {"type": "Polygon", "coordinates": [BOW_TIE]}
        features.append(made)
    random.Random(seed).shuffle(features)
    return collection(*features)


def test_an_index_of_a_file_holds_what_its_document_holds(tmp_path: Path) -> None:
    path = save(tmp_path / "a.geojson", mixed(120))
    document = read_geojson(path)
    index, again = AnnotationIndex.from_file(path), AnnotationIndex.from_document(document)
    walked = list(document.walk())
    assert index.count == len(walked)
    for found in (index, again):
        for row, number in enumerate(found.outlines.number.tolist()):
            whole = shapely.make_valid(walked[number].geometry, method="structure")
            assert found.outlines.geometry(row).equals(whole)
            assert found.kinds[found.outlines.kind[row]][0] == walked[number].class_name
            assert found.outlines.area[row] == pytest.approx(whole.area)
            np.testing.assert_allclose(found.outlines.bounds[row], whole.bounds)
    assert [p.sentence for p in index.problems] == [p.sentence for p in document.problems]
    table = ClassTable.from_names(["b", "a", "child"])
    box = (-20, 10, 300, 500)
    expected = rasterize(document, table, box)
    np.testing.assert_array_equal(rasterize(index, table, box), expected)
    assert set(np.unique(expected)) == {0, 1, 2, 3}


def test_a_point_finds_the_smallest_outline_first(tmp_path: Path) -> None:
    big, small = shapely.box(0, 0, 50, 50), shapely.box(10, 20, 20, 30)
    holed = shapely.box(0, 0, 60, 60).difference(shapely.box(5, 5, 55, 55))
    index = AnnotationIndex.from_document(
        Document.from_features([Feature.new(s, "a") for s in (big, small, holed)])
    )
    assert index.at(y=25, x=12) == [1, 0]
    assert index.at(y=25, x=2) == [2, 0]
    assert index.at(y=25, x=70) == []


def test_overlaps_are_kept_as_channels() -> None:
    table = ClassTable.from_names(["a", "b", "c"])
    features = [
        Feature.new(shapely.box(0, 0, 6, 6), "a"),
        Feature.new(shapely.box(3, 3, 9, 9), "b"),
    ]
    document = Document.from_features(features)
    channels = rasterize_channels(document, table, (0, 0, 10, 10))
    assert channels.dtype == bool
    assert channels.sum(axis=(1, 2)).tolist() == [36, 36, 0]
    assert (channels[0] & channels[1]).sum() == 9
    for i, name in enumerate(table.names):
        alone = rasterize(document, ClassTable.from_names([name]), (0, 0, 10, 10)) > 0
        np.testing.assert_array_equal(channels[i], alone)


def test_the_area_of_two_thousand_polygons_is_right_to_a_thousandth() -> None:
    rng = np.random.default_rng(5)
    features, area = [], 0.0
    for i in range(2000):
        centre = np.array([i % 50, i // 50]) * 60 + 30 + rng.uniform(-0.5, 0.5, 2)
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radius = rng.uniform(8, 22) * (1 + 0.2 * np.sin(3 * angles + rng.uniform(0, 6)))
        corners = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        shape = shapely.Polygon(corners).difference(shapely.Point(centre).buffer(4))
        area += shape.area
        features.append(Feature.new(shape, "a"))
    index = AnnotationIndex.from_document(Document.from_features(features))
    mask = rasterize(index, ClassTable.from_names(["a"]), (0, 0, 2400, 3000))
    assert abs(mask.sum() / area - 1) <= 1e-3
    assert index.outlines.area.sum() == pytest.approx(area)
    # in blocks: the same pixels
    for y in range(0, 2400, 800):
        part = rasterize(index, ClassTable.from_names(["a"]), (y, 700, 800, 1000))
        np.testing.assert_array_equal(part, mask[y : y + 800, 700:1700])


def write_many(path: Path, count: int, corners: int = 24) -> None:
    """Write nuclei as a segmentation network does, without holding them in memory."""
    rng = np.random.default_rng(1)
    circle = np.linspace(0, 2 * np.pi, corners)
    unit = np.stack([np.cos(circle), np.sin(circle)], 1)
    unit[-1] = unit[0]
    with path.open("w") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for i in range(count):
            ring = (rng.uniform(20, 99_000, 2) + unit * rng.uniform(4, 12)).round(2).tolist()
            made = feature([ring], name=("tumor", "stroma")[i % 2], id=f"{i:036d}")
            file.write(("," if i else "") + json.dumps(made))
        file.write("]}")


_READ = """
import sys
from pathlib import Path
from napari_histoaug.annotations import AnnotationIndex, ClassTable, rasterize
def peak():
    # of this process alone: ru_maxrss begins with that of the parent
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
calls = []
index = AnnotationIndex.from_file(sys.argv[1], progress=lambda done, total: calls.append(done))
after = peak()
mask = rasterize(index, ClassTable.from_names(["tumor"]), (0, 0, 4096, 4096))
print(len(index), len(calls), (after - before) * 1024, int(mask.sum()))
"""


def _memory(path: Path) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True
    )
    return list(map(int, done.stdout.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is asked of Linux")
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    write_many(tmp_path / "some.geojson", 10_000)
    count, calls, memory, painted = _memory(tmp_path / "some.geojson")
    assert count == 10_000
    assert calls >= 4
    assert painted > 0
    # the parsed JSON would take 75 MB
    assert memory < 30e6


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is asked of Linux")
def test_725_000_features_in_bounded_memory(tmp_path: Path) -> None:
    write_many(tmp_path / "many.geojson", 725_000)
    assert (tmp_path / "many.geojson").stat().st_size > 500e6
    count, calls, memory, painted = _memory(tmp_path / "many.geojson")
    assert count == 725_000
    assert calls > 400
    assert painted > 0
    assert memory < 250e6
