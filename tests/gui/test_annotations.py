"""Annotations in napari: shown, hovered, hidden, edited and written; with the real widgets."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import napari
import numpy as np
import pytest
import shapely
import zarr
from napari.components import ViewerModel
from napari.layers import Labels, Shapes
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import Qt

import napari_histoaug
from napari_histoaug.annotations import ClassTable, Document, Feature, read_geojson, write_geojson
from napari_histoaug.gui import annotation_reader
from napari_histoaug.gui.annotation_desk import AnnotationDesk
from napari_histoaug.gui.annotation_reader import get_annotation_reader, load, read_annotations
from napari_histoaug.gui.annotation_view import KEY, view_of
from napari_histoaug.gui.annotation_widget import AnnotationsWidget
from napari_histoaug.gui.annotation_writer import write_labels, write_shapes
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.session import session_of

LONG = 20_000
VESSEL, FAT = (220, 30, 40), (250, 240, 120)


def annotated() -> Document:
    """Fat with a vessel in it, the vessel with a hole; a vessel of two parts; a child."""
    holed = shapely.box(100, 200, 180, 260).difference(shapely.box(120, 220, 140, 240))
    both = shapely.MultiPolygon([shapely.box(600, 50, 620, 70), shapely.box(640, 50, 660, 70)])
    fat = Feature.new(shapely.box(50, 150, 400, 400), "fatty_tissue", FAT)
    fat["properties"]["childObjects"] = [Feature.new(holed, "blood_vessel", VESSEL)]
    return Document.from_features([fat, Feature.new(both, "blood_vessel", VESSEL)])


@pytest.fixture
def geojson(tmp_path: Path) -> Path:
    write_geojson(annotated(), tmp_path / "case 7.geojson")
    return tmp_path / "case 7.geojson"


@pytest.fixture
def slide(make_pyramid_tiff) -> Path:
    return make_pyramid_tiff(shapes=[(1400, 1800), (700, 900)], mpp=0.5).path


@pytest.fixture
def said():
    """The notifications of this test."""
    notification_manager.records.clear()
    return notification_manager.records


@pytest.fixture
def desk(qtbot, slide, monkeypatch):
    """The widget over napari's model of a viewer with an open slide, moved in the world."""
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(slide)
    layer = viewer.add_image(arrays, **settings)
    layer.translate = (1000, 50)
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    widget = AnnotationsWidget(viewer)
    qtbot.addWidget(widget)
    yield SimpleNamespace(viewer=viewer, widget=widget, slide_layer=layer, desk=widget.desk)
    widget.desk.close()


def opened(desk: Any, qtbot: Any, path: Path) -> Labels:
    before = len(desk.viewer.layers)
    desk.desk.open(path)
    qtbot.waitUntil(lambda: not desk.desk.busy, timeout=LONG)
    assert len(desk.viewer.layers) == before + 1
    return desk.desk.layer


def look_at(desk: Any, y: float, x: float, zoom: float = 4.0) -> None:
    origin = desk.slide_layer.translate
    desk.viewer.camera.center = (origin[0] + y * 0.5, origin[1] + x * 0.5)
    desk.viewer.camera.zoom = zoom


def hover(desk: Any, y: float, x: float) -> str:
    """Move the mouse over a level-0 place; returns what the panel says."""
    origin = desk.slide_layer.translate
    at = (origin[0] + (y - 0.5) * 0.5, origin[1] + (x - 0.5) * 0.5)
    for callback in desk.viewer.mouse_move_callbacks:
        callback(desk.viewer, SimpleNamespace(position=at))
    return desk.widget.hover.text()


def test_the_layer_is_lazy_multiscale_and_lies_on_the_slide(desk, qtbot, geojson) -> None:
    layer = opened(desk, qtbot, geojson)
    assert isinstance(layer, Labels)
    assert layer.multiscale
    assert not layer.editable
    assert [level.shape for level in layer.data] == [(1400, 1800), (700, 900)]
    assert all(level.dtype == np.uint8 for level in layer.data)
    np.testing.assert_allclose(layer.scale, desk.slide_layer.scale)
    np.testing.assert_allclose(layer.translate, desk.slide_layer.translate)
    assert layer.units == desk.slide_layer.units
    assert json.loads(json.dumps(layer.metadata[KEY])) == {
        "outlines": 3,
        "classes": ["blood_vessel", "fatty_tissue"],
    }
    np.testing.assert_allclose(layer.colormap.map(1)[:3], np.array(VESSEL) / 255, atol=1e-6)
    whole = np.asarray(layer.data[0])
    expected = np.zeros((1400, 1800), np.uint8)
    expected[150:400, 50:400] = 2
    expected[200:260, 100:180] = 1
    expected[220:240, 120:140] = 2
    expected[50:70, 600:620] = expected[50:70, 640:660] = 1
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(layer.data[0][500:800, 90:700], expected[500:800, 90:700])
    np.testing.assert_array_equal(layer.data[0][230, 100:200], expected[230, 100:200])
    assert layer.data[1][110, 55] == 1


def test_outlines_too_small_for_a_scale_are_still_seen(desk, qtbot, tmp_path) -> None:
    specks = [Feature.new(shapely.box(x, 300, x + 1.2, 301.2), "dust") for x in (200, 900, 1700)]
    write_geojson(Document.from_features(specks), tmp_path / "a.geojson")
    layer = opened(desk, qtbot, tmp_path / "a.geojson")
    assert (np.asarray(layer.data[1]) > 0).sum() == 3


def test_hovering_says_class_and_area(desk, qtbot, geojson) -> None:
    opened(desk, qtbot, geojson)
    assert hover(desk, 210, 110) == "blood_vessel, 1,100.0 µm²"
    assert hover(desk, 230, 130) == f"fatty_tissue, {350 * 250 / 4:,.1f} µm²"
    assert hover(desk, 50.2, 600.2) == "blood_vessel, 200.0 µm²"
    assert hover(desk, 49.8, 600.2) == ""


def test_classes_are_hidden_by_their_boxes(desk, qtbot, geojson) -> None:
    layer = opened(desk, qtbot, geojson)
    names = [desk.widget.class_list.item(i).text() for i in range(2)]
    assert names == ["blood_vessel  (2)", "fatty_tissue  (1)"]
    desk.widget.class_list.item(0).setCheckState(Qt.CheckState.Unchecked)
    # what lies below is seen, at every level
    assert layer.data[0][210, 110] == 2
    assert set(np.unique(layer.data[1])) == {0, 2}
    assert hover(desk, 210, 110).startswith("fatty_tissue")
    desk.widget.class_list.item(0).setCheckState(Qt.CheckState.Checked)
    assert layer.data[0][210, 110] == 1


def test_files_open_through_the_reader(desk, geojson, said) -> None:
    reader = get_annotation_reader(str(geojson))
    (layer_data,) = reader(str(geojson))
    data, settings, kind = layer_data
    assert kind == "labels"
    layer = desk.viewer.add_labels(data, **settings)
    assert layer.name == "case 7 annotations"
    assert desk.desk.layer is layer
    assert not said


def test_only_json_that_looks_like_annotations_is_taken(tmp_path) -> None:
    (tmp_path / "a.json").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "b.json").write_text('{"some": "settings"}')
    assert get_annotation_reader(str(tmp_path / "a.json")) is read_annotations
    assert get_annotation_reader(str(tmp_path / "b.json")) is None
    assert get_annotation_reader(str(tmp_path / "away.json")) is None
    assert get_annotation_reader("a.geojson.gz") is read_annotations


def test_without_a_slide_annotations_are_shown_in_pixels(geojson, said, monkeypatch) -> None:
    monkeypatch.setattr(napari, "current_viewer", ViewerModel)
    ((data, settings, _),) = read_annotations(str(geojson))
    assert settings["scale"] == (1.0, 1.0)
    assert data[0].shape == (401, 661)
    assert "no slide is open" in said[0].message


def test_a_wrong_file_or_another_slides_is_one_sentence(desk, qtbot, tmp_path, said) -> None:
    (tmp_path / "a.geojson").write_text("{")
    assert read_annotations(str(tmp_path / "a.geojson")) == [(None,)]
    far = Document.from_features([Feature.new(shapely.box(5000, 0, 5100, 90), "a")])
    write_geojson(far, tmp_path / "b.geojson")
    desk.desk.open(tmp_path / "b.geojson")
    qtbot.waitUntil(lambda: not desk.desk.busy, timeout=LONG)
    assert "not valid JSON" in said[0].message
    assert "belong to another slide" in said[1].message
    assert desk.widget.warning.text() == said[1].message
    assert all("\n" not in record.message for record in said)
    assert desk.desk.layer is None


def test_an_unclear_frame_is_asked_for(desk, qtbot, geojson) -> None:
    session_of(desk.slide_layer).slide.bounds = (10, 20, 1300, 1700)
    asked = []

    def ask(error):
        asked.append(error.choices)
        return "bounds"

    desk.desk._ask = ask
    layer = opened(desk, qtbot, geojson)
    assert asked == [("slide", "bounds")]
    assert layer.data[0][50 + 10, 600 + 20] == 1
    assert layer.data[0][50 + 9, 600 + 20] == 0
    assert hover(desk, 50.2 + 10, 600.2 + 20).startswith("blood_vessel")


def test_editing_changes_what_was_touched_and_nothing_else(desk, qtbot, geojson, tmp_path) -> None:
    layer = opened(desk, qtbot, geojson)
    before = read_geojson(geojson)
    look_at(desk, 300, 400, zoom=0.5)
    qtbot.mouseClick(desk.widget.edit_button, Qt.MouseButton.LeftButton)
    shapes = desk.viewer.layers[-1]
    assert isinstance(shapes, Shapes)
    assert len(shapes.data) == 5  # fat, vessel and its hole, two parts
    (hole,) = np.flatnonzero(shapes.features["ring"] == 1)
    data = list(shapes.data)
    data[hole] = data[hole] + [10, 0]
    shapes.data = data
    desk.widget.class_box.setCurrentText("fatty_tissue")
    desk.widget.class_box.textActivated.emit("fatty_tissue")
    # a rectangle whose corners are at (700, 500) and (760, 620) in the slide
    corner = np.array(desk.desk._editing.corner) + 0.5
    shapes.add_rectangles(np.array([[700, 500], [760, 620]]) - corner)
    qtbot.mouseClick(desk.widget.keep_button, Qt.MouseButton.LeftButton)
    assert desk.viewer.layers[-1] is layer
    assert layer.data[0][225, 130] == 1
    assert layer.data[0][245, 130] == 2
    assert layer.data[0][730, 560] == 2
    desk.desk.save(tmp_path / "edited.geojson")
    qtbot.waitUntil(lambda: not desk.desk.busy, timeout=LONG)
    after = read_geojson(tmp_path / "edited.geojson")
    assert len(after.features) == 3
    old, new = ({**d.features[0]["properties"], "childObjects": None} for d in (before, after))
    assert old == new
    assert after.features[1] == before.features[1]
    (child,) = after.features[0].children
    expected = shapely.box(100, 200, 180, 260).difference(shapely.box(120, 230, 140, 250))
    assert child.geometry.equals(expected)
    assert child["id"] == before.features[0].children[0]["id"]
    assert after.features[2].class_name == "fatty_tissue"
    assert after.features[2].color == FAT
    assert after.features[2].geometry.equals(shapely.box(500, 700, 620, 760))


def test_deleting_and_discarding(desk, qtbot, geojson) -> None:
    opened(desk, qtbot, geojson)
    document = view_of(desk.desk.layer).document
    look_at(desk, 300, 400, zoom=0.5)
    desk.desk.edit()
    shapes = desk.viewer.layers[-1]
    shapes.selected_data = set(np.flatnonzero(shapes.features["feature"] == 1))
    shapes.remove_selected()
    desk.desk.discard()
    assert len(list(document.walk())) == 3
    desk.desk.edit()
    shapes = desk.viewer.layers[-1]
    first = (shapes.features["feature"] == 1) | (shapes.features["part"] == 1)
    shapes.selected_data = set(np.flatnonzero(first))
    shapes.remove_selected()
    desk.desk.keep()
    fat, vessel = document.features
    assert fat.children == ()
    assert vessel["geometry"]["type"] == "MultiPolygon"
    assert vessel.geometry.area == 400


def test_hidden_classes_are_not_edited_and_large_files_are_refused(
    desk, qtbot, geojson, monkeypatch
) -> None:
    opened(desk, qtbot, geojson)
    desk.desk.set_visible("blood_vessel", False)
    look_at(desk, 300, 400, zoom=0.5)
    desk.desk.edit()
    assert len(desk.viewer.layers[-1].data) == 1
    desk.desk.discard()
    monkeypatch.setattr(annotation_reader, "EDITABLE_BYTES", 10)
    opened(desk, qtbot, geojson)
    assert not desk.widget.edit_button.isEnabled()
    assert "too large" in desk.widget.edit_button.toolTip()


def test_writing_a_label_image(desk, qtbot, geojson, tmp_path) -> None:
    layer = opened(desk, qtbot, geojson)
    desk.desk.save(tmp_path / "labels.zarr")
    qtbot.waitUntil(lambda: not desk.desk.busy, timeout=LONG)
    group = zarr.open_group(tmp_path / "labels.zarr", mode="r")
    assert group["labels"].attrs["ome"] == {"version": "0.5", "labels": ["annotations"]}
    ome = group["labels/annotations"].attrs["ome"]
    (multiscale,) = ome["multiscales"]
    assert [d["path"] for d in multiscale["datasets"]] == ["0", "1"]
    scales = [d["coordinateTransformations"][0]["scale"] for d in multiscale["datasets"]]
    assert scales == [[0.5, 0.5], [1.0, 1.0]]
    assert multiscale["axes"][0] == {"name": "y", "type": "space", "unit": "micrometer"}
    assert ome["image-label"]["colors"][0] == {"label-value": 1, "rgba": [*VESSEL, 255]}
    whole = np.asarray(group["labels/annotations/0"])
    np.testing.assert_array_equal(whole, np.asarray(layer.data[0]))
    coarse = np.asarray(group["labels/annotations/1"])
    np.testing.assert_array_equal(coarse, whole.reshape(700, 2, 900, 2).max((1, 3)))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.fixture
def plugin(npe2pm):
    """The plugin as napari finds it."""
    if "napari-histoaug" not in npe2pm:
        npe2pm.register(
            PluginManifest.from_file(Path(napari_histoaug.__file__).with_name("napari.yaml"))
        )
    return npe2pm


def test_a_window_opens_annotations_onto_its_slide(
    plugin, make_napari_viewer, qtbot, slide, geojson, tmp_path
) -> None:
    viewer = make_napari_viewer()
    viewer.open(str(slide), plugin="napari-histoaug")
    viewer.open(str(geojson), plugin="napari-histoaug")
    layer = viewer.layers[-1]
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    _, widget = viewer.window.add_plugin_dock_widget("napari-histoaug", "Annotations")
    assert widget.desk.layer is layer  # not one of the proxy's copies
    # the widget sees the viewer through napari's proxy, which hides what is private
    widget.class_list.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert layer.data[0][210, 110] == 2
    widget.class_list.item(0).setCheckState(Qt.CheckState.Checked)
    viewer.camera.center, viewer.camera.zoom = (150, 200), 1.0
    qtbot.mouseClick(widget.edit_button, Qt.MouseButton.LeftButton)
    viewer.layers[-1].add_polygons(np.array([[20.0, 20], [20, 60], [80, 60]]))
    qtbot.mouseClick(widget.keep_button, Qt.MouseButton.LeftButton)
    assert len(view_of(layer).document.features) == 3
    at = (210 * 0.5, 110 * 0.5)
    assert "class: blood_vessel" in str(layer.get_status(at, world=True))
    # what was edited is saved by File > Save
    view_of(layer).document.features[1].set_class("fatty_tissue", FAT)
    viewer.layers.selection = {layer}
    viewer.layers.save(str(tmp_path / "saved.geojson"), selected=True, plugin="napari-histoaug")
    assert read_geojson(tmp_path / "saved.geojson").features[1].class_name == "fatty_tissue"
    viewer.window.remove_dock_widget(widget)


def test_the_writers_of_napari(plugin, desk, qtbot, geojson, tmp_path, said) -> None:
    layer = opened(desk, qtbot, geojson)
    target = str(tmp_path / "again.geojson")
    assert layer.save(target, plugin="napari-histoaug") == [target]
    assert json.loads(Path(target).read_text()) == json.loads(geojson.read_text())
    data, attributes, _ = layer.as_layer_data_tuple()
    zarr_target = str(tmp_path / "again.zarr")
    assert write_labels(zarr_target, data, attributes) == [zarr_target]
    assert write_labels(zarr_target, data, attributes) == []
    assert "exists already" in said[-1].message


def test_painted_labels_and_drawn_shapes_become_polygons(desk, tmp_path) -> None:
    painted = np.zeros((50, 60), np.uint8)
    painted[10:20, 30:45] = 3
    origin = desk.slide_layer.translate
    place = {"scale": (0.5, 0.5), "translate": (origin[0] + 100 * 0.5, origin[1] + 200 * 0.5)}
    labels = desk.viewer.add_labels(painted, **place)
    target = str(tmp_path / "a.geojson")
    data, attributes, _ = labels.as_layer_data_tuple()
    assert write_labels(target, data, attributes) == [target]
    (feature,) = read_geojson(target).features
    assert feature.geometry.equals(shapely.box(230, 110, 245, 120))
    assert feature.class_name == "label 3"
    corners = np.array([[9.5, 29.5], [9.5, 44.5], [19.5, 44.5], [19.5, 29.5]])
    shapes = desk.viewer.add_shapes([corners, corners[:2]], shape_type=["polygon", "line"], **place)
    data, attributes, _ = shapes.as_layer_data_tuple()
    assert write_shapes(target, data, attributes) == [target]
    (feature,) = read_geojson(target).features
    assert feature.geometry.equals(shapely.box(230, 110, 245, 120))
    assert feature.class_name is None


def test_any_number_of_polygons_is_shown(desk, tmp_path) -> None:
    rng = np.random.default_rng(2)
    corners = rng.uniform(0, (1780, 1380), (12_000, 2)).round(1).tolist()
    features = [
        Feature.new(shapely.box(x, y, x + 9, y + 9), ("a", "b")[i % 2])
        for i, (x, y) in enumerate(corners)
    ]
    write_geojson(Document.from_features(features), tmp_path / "many.geojson")
    loaded = load(tmp_path / "many.geojson", desk.slide_layer, lambda error: None)
    assert len(loaded.view.picture.index) == 12_000
    level = loaded.view.levels()[-1]
    assert (np.asarray(level) > 0).mean() > 0.2


def test_colours_of_a_table_win(geojson) -> None:
    table = ClassTable.from_names(["blood_vessel"])
    loaded = load(geojson, None, lambda error: None, table=table)
    colors = {shown.name: shown.color for shown in loaded.view.picture.classes}
    assert colors == {"blood_vessel": table.colors[0], "fatty_tissue": FAT}


def test_a_closed_desk_lets_go_of_the_viewer(desk) -> None:
    other = AnnotationDesk(desk.viewer)
    count = len(desk.viewer.mouse_move_callbacks)
    other.close()
    other.close()
    assert len(desk.viewer.mouse_move_callbacks) == count - 1
