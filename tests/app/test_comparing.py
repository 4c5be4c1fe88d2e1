"""Truth against prediction through the real panels: figures, overlay, errors, corrections."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import zarr
from napari.utils.notifications import notification_manager
from PIL import Image as Pillow
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QSlider,
    QWidget,
)

from napari_histoaug.annotations import Document, Feature, read_geojson, write_geojson
from napari_histoaug.gui import commands, segmenters
from napari_histoaug.gui.annotation_reader import ask_frame, layer_data, load
from napari_histoaug.gui.choices import FOUND
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.sides import LabelSide, PlacedLabels
from napari_histoaug.patches.grid import Grid
from napari_histoaug.segmentation import Outcome, SegmentationError, compare, open_pair
from napari_histoaug.segmentation.error_picture import error_picture, nice_length

LONG = 20_000
FINE = {"pixels": ("tp", "fp", "fn"), "objects": ("tp", "fp", "fn")}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The first vessel moved by 20 px, the second as it is, one that is not there."""
    boxes = [(300, 440, 60, 80), (900, 1200, 50, 50), (1200, 300, 20, 30)]
    features = [
        Feature.new(shapely.box(x, y, x + w, y + h), "blood_vessel", (200, 0, 0))
        for y, x, h, w in boxes
    ]
    write_geojson(Document.from_features(features), tmp_path / "truth.geojson")
    return tmp_path / "truth.geojson"


def annotate(desk: Any, path: Path) -> Any:
    """Open a file onto the slide; returns the layer."""
    data, settings, _ = layer_data(load(path, desk.slide_layer, ask_frame).view, desk.slide_layer)
    return desk.viewer.add_labels(data, **settings)


def run(desk: Any) -> Any:
    """Click Compare and wait; returns the comparison."""
    desk.click(desk.widget.compare_panel.run_button)
    desk.wait_idle()
    settle(desk)
    assert desk.desk.comparing.result is not None, desk.widget.news.text()
    return desk.desk.comparing.result.comparison


def settle(desk: Any) -> None:
    """Wait until the figures of the view are counted."""
    desk.qtbot.waitUntil(lambda: not desk.desk.busy, timeout=LONG)
    desk.qtbot.waitUntil(lambda: not desk.desk.figures.counting, timeout=LONG)


def compared(desk: Any, path: Path, *, found: str = "slide") -> Any:
    """Find, open the truth, declare it complete and compare."""
    if found:
        desk.find(found)
    annotate(desk, path)
    desk.desk.comparing.set("complete", True)
    return run(desk)


def counts(comparison: Any, kind: str = "pixels", name: str = "blood_vessel") -> tuple[int, ...]:
    of = comparison.pixels[name] if kind == "pixels" else comparison.objects[name].counts
    return of.tp, of.fp, of.fn


def test_figures_are_those_of_the_headless_comparison(find_desk, truth, tmp_path) -> None:
    comparison = compared(find_desk, truth)
    # by hand: 60 of 80 columns of the first agree
    assert counts(comparison) == (60 * 60 + 2500, 20 * 60 + 1200, 20 * 60 + 600)
    assert counts(comparison, "objects") == (2, 1, 1)
    find_desk.desk.finding.write(tmp_path / "found.zarr")
    find_desk.wait_idle()
    slide = find_desk.desk.session.slide
    pair = open_pair(truth, tmp_path / "found.zarr", complete=True, slide=slide)
    headless = compare(pair)
    assert headless.pixels == comparison.pixels
    assert headless.objects == comparison.objects
    assert headless.known == comparison.known
    # files through the panel: the very same
    panel = find_desk.widget.compare_panel
    panel.choose_file("truth", truth)
    panel.choose_file("prediction", tmp_path / "found.zarr")
    assert run(find_desk).objects == headless.objects
    # and what is in view
    view = find_desk.desk.view_box(find_desk.slide_layer)
    within = compare(pair, within=view)
    shown = find_desk.desk.figures.shown()["view"]
    assert (shown.pixels, shown.objects) == (within.pixels, within.objects)
    assert panel.figures.cells["view", "pixels", "dice"].text() == (
        f"{within.pixels['blood_vessel'].dice:.3f}"
    )


def test_figures_of_view_and_region_follow(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    cells = desk.widget.compare_panel.figures.cells
    assert cells["slide", "objects", "recall"].text() == "0.667"
    desk.look_at(925, 1225)
    settle(desk)
    assert cells["view", "pixels", "dice"].text() == "1.000"
    desk.look_at(700, 700)
    settle(desk)
    assert cells["view", "pixels", "dice"].text() == "undefined"
    assert cells["region", "pixels", "dice"].text() == "–"
    desk.desk.draw_region()
    desk.viewer.layers[-1].add_rectangles([[1190, 290], [1190, 340], [1230, 340], [1230, 290]])
    settle(desk)
    assert cells["region", "pixels", "recall"].text() == "0.000"
    # a threshold moves the figures of the view, and the slide's are told to be old
    desk.look_at(330, 460)
    settle(desk)
    before = cells["view", "pixels", "recall"].text()
    desk.panel.threshold.setValue(0.99)
    desk.look_at(925, 1225)
    settle(desk)
    assert before != "0.000"
    assert cells["view", "pixels", "recall"].text() == "0.000"
    assert not desk.widget.compare_panel.stale.isHidden()


def test_the_overlay_lies_on_the_slide_and_keeps_small_errors(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    overlay = desk.desk.comparing.overlay
    layer = overlay.layer
    assert layer.name == "red TP/FP/FN"
    assert layer.multiscale
    np.testing.assert_allclose(layer.translate, desk.slide_layer.translate)
    whole = np.asarray(layer.data[0])[:1400, :1800]
    assert whole[330, 430] == Outcome.FALSE_POSITIVE
    assert whole[330, 460] == Outcome.TRUE_POSITIVE
    assert whole[330, 510] == whole[1210, 310] == Outcome.FALSE_NEGATIVE
    assert np.asarray(layer.data[-1])[1210 // 2, 310 // 2] == Outcome.FALSE_NEGATIVE
    colour = layer.colormap.map(np.array([1, 2, 3]))[:, :3] * 255
    assert [int(c.argmax()) for c in colour] == [1, 0, 2]
    panel = desk.widget.error_panel
    panel.palette_box.setCurrentText("colour-blind safe")
    panel.palette_box.textActivated.emit("colour-blind safe")
    np.testing.assert_allclose(layer.colormap.map(np.array([2]))[0, :3] * 255, (213, 94, 0), atol=1)
    panel.opacity.setValue(30)
    assert layer.opacity == 0.3
    panel.contour_box.setValue(3)
    assert (layer.contour, layer.opacity) == (3, 1.0)
    desk.viewer.layers.remove(layer)
    run(desk)
    assert overlay.is_shown


def test_one_flies_from_error_to_error(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    panel, comparing = desk.widget.error_panel, desk.desk.comparing
    assert [(e.kind, e.found.area) for e in comparing.errors] == [
        (Outcome.FALSE_POSITIVE, 1200),
        (Outcome.FALSE_NEGATIVE, 600),
    ]
    assert panel.model.data(panel.model.index(0, 1)) == "300 µm²"
    assert "1 invented, 1 missed, 2 found" in panel.count.text()
    desk.click(panel.next_button)
    np.testing.assert_allclose(desk.viewer.camera.center[-2:], (1000 + 115 / 2, 50 + 1520 / 2))
    assert panel.table.selectionModel().selectedRows()[0].row() == 0
    assert panel.settle_button.text() == "Accept as truth"
    desk.click(panel.next_button)
    np.testing.assert_allclose(desk.viewer.camera.center[-2:], (1000 + 1210 / 2, 50 + 315 / 2))
    assert panel.settle_button.text() == "Take out of the truth"
    desk.click(panel.next_button)
    assert comparing.current == 0
    desk.click(panel.previous_button)
    assert comparing.current == 1
    panel.table.clicked.emit(panel.model.index(0, 0))
    assert comparing.current == 0


def test_corrections_reach_the_annotations_and_are_taken_back(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    panel, comparing = desk.widget.error_panel, desk.desk.comparing
    document = comparing.settings.truth.layer.metadata["napari-histoaug annotations"].view.document
    read = json.dumps(document.to_json())
    assert "Go to an error first" in panel.settle_button.toolTip()
    desk.click(panel.next_button)
    desk.click(panel.settle_button)
    settle(desk)
    # accepted, and compared again at once
    assert counts(comparing.result.comparison, "objects") == (3, 0, 1)
    added = document.features[-1]
    assert added.class_name == "blood_vessel"
    assert added.geometry.equals(shapely.box(1500, 100, 1540, 130))
    desk.click(panel.next_button)
    desk.click(panel.settle_button)
    settle(desk)
    assert counts(comparing.result.comparison, "objects") == (3, 0, 0)
    assert len(document.features) == 3
    desk.click(panel.undo_button)
    settle(desk)
    desk.click(panel.undo_button)
    settle(desk)
    assert json.dumps(document.to_json()) == read
    assert counts(comparing.result.comparison, "objects") == (2, 1, 1)
    assert not panel.undo_button.isEnabled()


def test_an_accepted_object_takes_the_place_of_an_outline_that_was_too_large(
    find_desk, tmp_path
) -> None:
    desk = find_desk
    boxes = [(880, 1160, 130, 130), (300, 420, 60, 80), (100, 1500, 30, 40)]
    features = [
        Feature.new(shapely.box(x, y, x + w, y + h), "blood_vessel", (200, 0, 0))
        for y, x, h, w in boxes
    ]
    write_geojson(Document.from_features(features), tmp_path / "large.geojson")
    assert counts(compared(desk, tmp_path / "large.geojson"), "objects") == (2, 1, 1)
    panel, comparing = desk.widget.error_panel, desk.desk.comparing
    assert [error.kind for error in comparing.errors] == [3, 2]
    comparing.fly_to(1)
    desk.click(panel.settle_button)
    settle(desk)
    document = comparing.truth.layer.metadata["napari-histoaug annotations"].view.document
    assert len(document.features) == 3
    assert document.features[-1].geometry.equals(shapely.box(1200, 900, 1250, 950))
    assert counts(comparing.result.comparison, "objects") == (3, 0, 0)


def test_an_outline_is_corrected_by_hand_and_that_is_taken_back(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    panel, comparing = desk.widget.error_panel, desk.desk.comparing
    document = comparing.settings.truth.layer.metadata["napari-histoaug annotations"].view.document
    read = json.dumps(document.to_json())
    comparing.fly_to(1)
    desk.click(panel.correct_button)
    shapes = desk.viewer.layers[-1]
    assert len(shapes.data) == 1
    assert "kept" not in panel.keep_button.toolTip()
    shapes.selected_data = {0}
    shapes.remove_selected()
    desk.click(panel.keep_button)
    settle(desk)
    assert len(document.features) == 2
    assert counts(comparing.result.comparison, "objects") == (2, 1, 0)
    desk.click(panel.undo_button)
    settle(desk)
    assert json.dumps(document.to_json()) == read
    comparing.fly_to(1)
    desk.click(panel.correct_button)
    desk.click(panel.discard_button)
    assert json.dumps(document.to_json()) == read
    assert panel.keep_button.isHidden()


def test_table_picture_and_report_are_written_without_names(find_desk, truth, tmp_path) -> None:
    desk = find_desk
    compared(desk, truth)
    comparing, out = desk.desk.comparing, tmp_path / "out"
    out.mkdir()
    comparing.export("table", out / "errors.csv")
    desk.wait_idle()
    with (out / "errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], r["area_px"], r["area_um2"], r["y"], r["x"]) for r in rows] == [
        ("false positive", "1200", "300.00", "100", "1500"),
        ("false negative", "600", "150.00", "1200", "300"),
    ]
    comparing.export("picture", out / "view.png")
    desk.wait_idle()
    picture = np.asarray(Pillow.open(out / "view.png"))
    y, x, height, width = desk.desk.view_box(desk.slide_layer)
    times = -(-760 // width)
    assert picture.shape == (times * height + 44, times * width, 3)
    tissue = np.array([200, 160, 205])
    assert (picture[2, 2] == tissue).all()
    row = picture[times * (330 - y)]
    assert row[times * (430 - x), 0] > row[times * (460 - x), 0]
    comparing.export("report", out / "report")
    desk.wait_idle()
    results = json.loads((out / "report" / "results.json").read_text())
    slide = results["figures"]["slide"]["pixels"]["blood_vessel"]
    assert (slide["tp"], slide["fp"], slide["fn"]) == counts(comparing.result.comparison)
    assert results["about"]["slide"] == desk.desk.session.slide.slide_id()
    page = (out / "report" / "report.html").read_text()
    assert "0.667" in page
    for text in (page, json.dumps(results), (out / "errors.csv").read_text()):
        assert "red" not in text.replace("red.", "").split()
        assert "truth.geojson" not in text
    comparing.export("table", out / "no" / "errors.csv")
    desk.wait_idle()
    assert "cannot be written" in desk.widget.news.text()
    assert sorted(p.name for p in out.iterdir()) == ["errors.csv", "report", "view.png"]


def test_nothing_found_yet_is_found_first(find_desk, truth) -> None:
    desk = find_desk
    desk.desk.finding.set("scope", "slide")
    comparison = compared(desk, truth, found="")
    assert counts(comparison, "objects") == (2, 1, 1)
    assert desk.desk.finding.found.live.looked_at.all()
    # only what was looked at is compared
    assert comparison.known == 1400 * 1800


def labels_layer(desk: Any, mask: np.ndarray, name: str = "mine", **options: Any) -> Any:
    settings = {"scale": (0.5, 0.5), "translate": (1000, 50), **options}
    return desk.viewer.add_labels(mask, name=name, **settings)


def choose(desk: Any, **sides: Any) -> None:
    comparing = desk.desk.comparing
    for name, layer in sides.items():
        found = next(c for c in comparing.choices() if c.layer is layer and c.path is None)
        comparing.set(name, found)


def test_labels_and_shapes_can_be_either_side(find_desk, truth) -> None:
    desk = find_desk
    annotation = annotate(desk, truth)
    comparing = desk.desk.comparing
    comparing.set("complete", True)
    plain = labels_layer(desk, desk.expected())
    choose(desk, truth=annotation, prediction=plain)
    first = run(desk)
    assert counts(first, "objects") == (2, 1, 1)
    # numbered objects of a wide type, on a quarter of the slide, at half the resolution
    part = np.zeros((350, 450), np.int32)
    part[300 // 2 : 360 // 2, 420 // 2 : 500 // 2] = 4711
    coarse = labels_layer(desk, part, "part", scale=(1.0, 1.0), translate=(1000.25, 50.25))
    choose(desk, prediction=coarse)
    second = run(desk)
    assert second.known == 350 * 450
    assert counts(second) == (30 * 30, 10 * 30, 10 * 30)
    shapes = desk.viewer.add_shapes(
        [[[299.5, 419.5], [299.5, 499.5], [359.5, 499.5], [359.5, 419.5]]],
        scale=(0.5, 0.5), translate=(1000, 50),
    )  # fmt: skip
    choose(desk, truth=shapes, prediction=plain)
    third = run(desk)
    assert counts(third) == (4800, 2500 + 1200, 0)
    assert "corrected here" in desk.desk.correcting._why_not_editable()


def test_painted_labels_are_corrected_and_that_is_taken_back(find_desk) -> None:
    """Truth at half the resolution, in numbered objects; the first vessel is missing in it."""
    desk = find_desk
    mask = desk.expected()[::2, ::2].astype(np.int32) * 5
    mask[150:180, 210:250] = 0
    mask[600:610, 150:165] = 9
    painted = labels_layer(desk, mask, scale=(1.0, 1.0), translate=(1000.25, 50.25))
    plain = labels_layer(desk, desk.expected(), "prediction")
    choose(desk, truth=painted, prediction=plain)
    desk.desk.comparing.set("classes", "blood_vessel")
    assert counts(run(desk), "objects") == (2, 1, 1)
    before = painted.data.copy()
    panel = desk.widget.error_panel
    for _ in range(2):
        desk.click(panel.next_button)
        assert "paint on their layer" in panel.correct_button.toolTip()
        desk.click(panel.settle_button)
        settle(desk)
    assert counts(desk.desk.comparing.result.comparison) == (4800 + 2500 + 1200, 0, 0)
    assert painted.data[155, 215] == 10
    assert painted.data[605, 155] == 0
    for _ in range(2):
        desk.click(panel.undo_button)
        settle(desk)
    np.testing.assert_array_equal(painted.data, before)
    assert counts(desk.desk.comparing.result.comparison, "objects") == (2, 1, 1)


Bad = Callable[[Any, Path], None]


def _far_away(desk: Any, folder: Path) -> None:
    layer = labels_layer(desk, np.ones((50, 50), np.uint8), translate=(9000, 9000))
    choose(desk, prediction=layer)


def _other_scale(desk: Any, folder: Path) -> None:
    choose(desk, prediction=labels_layer(desk, desk.expected(), scale=(1, 1)))


def _value_of_no_class(desk: Any, folder: Path) -> None:
    choose(desk, prediction=labels_layer(desk, desk.expected() * 7))


def _turned(desk: Any, folder: Path) -> None:
    choose(desk, prediction=labels_layer(desk, desk.expected(), rotate=20))


def _wrong_class(desk: Any, folder: Path) -> None:
    desk.desk.comparing.set("classes", "lymph_node")


def _incomplete(desk: Any, folder: Path) -> None:
    desk.desk.comparing.set("complete", False)


def _float_labels(desk: Any, folder: Path) -> None:
    Pillow.fromarray(np.zeros((1400, 1800), np.float32)).save(folder / "p.tif")
    desk.widget.compare_panel.choose_file("prediction", folder / "p.tif")


def _rgb_labels(desk: Any, folder: Path) -> None:
    Pillow.fromarray(np.zeros((1400, 1800, 3), np.uint8)).save(folder / "p.png")
    desk.widget.compare_panel.choose_file("prediction", folder / "p.png")


def _other_size(desk: Any, folder: Path) -> None:
    Pillow.fromarray(np.zeros((100, 100), np.uint8)).save(folder / "p.png")
    desk.find()
    desk.widget.compare_panel.choose_file("truth", folder / "p.png")


def _no_file(desk: Any, folder: Path) -> None:
    desk.widget.compare_panel.choose_file("prediction", folder / "gone.zarr")


def _missing_level(desk: Any, folder: Path) -> None:
    scales = {"datasets": [{"path": "0"}, {"path": "1"}], "axes": []}
    transform = [{"type": "scale", "scale": [1.0, 1.0]}]
    scales["datasets"][0]["coordinateTransformations"] = transform
    group = zarr.create_group(str(folder / "labels.zarr"))
    group.create_array("0", shape=(1400, 1800), dtype="uint8")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    desk.widget.compare_panel.choose_file("prediction", folder / "labels.zarr")


def _empty_shapes(desk: Any, folder: Path) -> None:
    choose(desk, truth=desk.viewer.add_shapes(name="empty"))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_far_away, "does not lie on the slide"),
        (_other_scale, "does not lie on the slide"),
        (_value_of_no_class, "holds the value 7, but there are 1 classes"),
        (_turned, "turned or sheared"),
        (_wrong_class, "none of lymph_node"),
        (_incomplete, "Nothing says where"),
        (_float_labels, "fractions"),
        (_rgb_labels, "colour picture"),
        (_other_size, "100 x 100 pixels"),
        (_no_file, "There is no"),
        (_missing_level, "lacks '1'"),
        (_empty_shapes, "no closed shape"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    find_desk, truth, tmp_path, spoil: Bad, sentence: str
) -> None:
    desk = find_desk
    choose_truth = annotate(desk, truth)
    plain = labels_layer(desk, desk.expected())
    desk.desk.comparing.set("complete", True)
    choose(desk, truth=choose_truth, prediction=plain)
    spoil(desk, tmp_path)
    if spoil is _other_size:
        desk.desk.comparing.set("prediction", FOUND)
    desk.click(desk.widget.compare_panel.run_button)
    desk.wait_idle()
    assert sentence in desk.widget.news.text()
    assert desk.desk.comparing.result is None
    assert not desk.widget.news.isHidden()


def test_figures_errors_and_overlay_are_those_of_a_class(find_desk) -> None:
    desk = find_desk
    mine, theirs = desk.expected(), desk.expected(2)
    mine[900:950, 1200:1250] = 2
    mine[100:130, 1500:1540] = 0
    theirs[900:950, 1200:1225] = 2
    theirs[900:950, 1225:1250] = 0
    theirs[700:710, 700:710] = 2
    truth, prediction = labels_layer(desk, mine), labels_layer(desk, theirs, "theirs")
    choose(desk, truth=truth, prediction=prediction)
    desk.desk.comparing.set("classes", "blood_vessel, fat")
    comparison = run(desk)
    assert counts(comparison) == (4800, 0, 0)
    assert counts(comparison, name="fat") == (1250, 100, 1250)
    figures, errors = desk.widget.compare_panel.figures, desk.widget.error_panel
    assert errors.model.rowCount() == 0
    assert "no wrong object" in errors.next_button.toolTip()
    figures.class_box.activated.emit(1)
    assert figures.cells["slide", "objects", "precision"].text() == "0.500"
    assert errors.model.rowCount() == 1
    overlay = np.asarray(desk.desk.comparing.overlay.layer.data[0])
    assert overlay[705, 705] == Outcome.FALSE_POSITIVE
    assert overlay[330, 460] == Outcome.NOTHING
    # a stricter match: the half is no partner any more
    desk.look_at(925, 1225)
    settle(desk)
    assert figures.cells["view", "objects", "recall"].text() == "1.000"
    desk.widget.compare_panel.iou_box.setValue(0.6)
    settle(desk)
    assert figures.cells["view", "objects", "recall"].text() == "0.000"


def test_an_empty_truth_is_compared_and_told(find_desk, tmp_path) -> None:
    desk = find_desk
    write_geojson(Document.from_features([]), tmp_path / "none.geojson")
    plain = labels_layer(desk, desk.expected())
    choose(desk, prediction=plain)
    desk.desk.comparing.set("classes", "blood_vessel")
    desk.desk.comparing.set("complete", True)
    desk.widget.compare_panel.choose_file("truth", tmp_path / "none.geojson")
    comparison = run(desk)
    assert counts(comparison, "objects") == (0, 3, 0)
    assert "recall is undefined" in desk.widget.news.text()
    cells = desk.widget.compare_panel.figures.cells
    assert cells["slide", "pixels", "recall"].text() == "undefined"


def test_why_nothing_can_be_compared(find_desk, truth) -> None:
    desk = find_desk
    panel = desk.widget.compare_panel
    assert "No truth is chosen" in panel.run_button.toolTip()
    layer = annotate(desk, truth)
    choose(desk, prediction=layer, truth=layer)
    assert "are the same" in panel.run_button.toolTip()
    assert "Nothing was compared yet" in desk.widget.error_panel.next_button.toolTip()
    assert "Nothing was compared yet" in desk.widget.error_panel.report_button.toolTip()
    desk.viewer.layers.remove(layer)
    assert desk.desk.comparing.settings.truth is None


def test_only_the_truth_that_was_compared_is_corrected(find_desk, truth, tmp_path) -> None:
    desk = find_desk
    compared(desk, truth)
    desk.click(desk.widget.error_panel.next_button)
    other = labels_layer(desk, desk.expected(1), "other")
    choose(desk, truth=other)
    assert "compare again" in desk.widget.error_panel.settle_button.toolTip()
    assert not desk.widget.error_panel.settle_button.isEnabled()
    assert not desk.widget.compare_panel.stale.isHidden()


def test_the_panels_open_from_the_palette_and_nothing_is_cut_off(
    make_napari_viewer, red_slide, qtbot, monkeypatch, tmp_path
) -> None:
    from npe2 import PluginManager, PluginManifest

    from napari_histoaug import __file__ as package

    manifest = PluginManifest.from_file(package.replace("__init__.py", "napari.yaml"))
    if manifest.name not in PluginManager.instance():
        PluginManager.instance().register(manifest)
    monkeypatch.setattr(segmenters, "_folder", lambda model: None)
    viewer = make_napari_viewer()
    arrays, settings, _ = slide_layer(red_slide)
    viewer.add_image(arrays, **settings)
    commands.find_vessels(viewer)
    assert "no segmenter" in notification_manager.records[-1].message
    commands.next_error(viewer)
    assert "Nothing was compared" in notification_manager.records[-1].message
    widget = commands.finding_panels_of(viewer)
    assert widget.desk.session is not None
    widget.window().show()
    qtbot.waitUntil(lambda: widget.widget().width() <= widget.viewport().width(), timeout=LONG)
    for control in widget.findChildren(QWidget):
        if control.isVisible() and widget.widget().isAncestorOf(control):
            right = control.mapTo(widget.widget(), control.rect().topRight()).x()
            assert right <= widget.viewport().width(), control
    widget.desk.close()
    assert not {key for key in viewer.keymap if "Shift+J" in str(key)}


def test_a_closed_slide_takes_its_comparison_along(find_desk, truth) -> None:
    desk = find_desk
    compared(desk, truth)
    desk.viewer.layers.remove(desk.slide_layer)
    assert desk.desk.comparing.result is None
    assert not desk.desk.comparing.overlay.is_shown
    assert desk.desk.figures.places == {}


def test_every_control_has_a_tooltip(find_desk, truth) -> None:
    compared(find_desk, truth)
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QSlider)
    widget = find_desk.widget
    controls = [w for kind in kinds for w in widget.findChildren(kind)]
    inner = {w.lineEdit() for w in widget.findChildren(QAbstractSpinBox)}
    assert len(controls) > 25
    bare = [w for w in controls if not w.toolTip() and w not in inner]
    threshold = widget.find_panel.threshold
    bare = [w for w in bare if not threshold.isAncestorOf(w)]
    header = widget.error_panel.table
    assert [w for w in bare if not header.isAncestorOf(w)] == []


def test_a_layer_of_any_scale_is_read_under_the_centres_of_the_grid() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2
    side = LabelSide("x", values, (2.0, 2.0), (2.0, 4.0))
    source = PlacedLabels(side, ["a"], Grid((12, 16), (1.0, 1.0), 0, None))
    found = source.read((0, 0, 12, 16))
    known = found != 255
    assert known.sum() == 6 * 8
    np.testing.assert_array_equal(found[2:8, 4:12], values.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(source.read((3, 5, 4, 4)), found[3:7, 5:9])
    bad = LabelSide("x", values + 8, (1.0, 1.0), (0.0, 0.0))
    source = PlacedLabels(bad, ["a"], Grid((3, 4), (1.0, 1.0), 0, None))
    with pytest.raises(SegmentationError, match="holds the value 9"):
        source.read((0, 0, 3, 4))


def test_a_picture_has_a_legend_and_a_bar_of_the_right_length() -> None:
    tissue = np.full((300, 1000, 3), 200, np.uint8)
    outcomes = np.zeros((300, 1000), np.uint8)
    outcomes[100:200, 100:300] = Outcome.FALSE_POSITIVE
    filled = error_picture(tissue, outcomes, opacity=1.0, mpp=0.5)
    assert filled.shape == (344, 1000, 3)
    assert tuple(filled[150, 200]) == (220, 30, 30)
    bar = (filled[300 + 44 - 11, :] == 40).all(axis=1)
    assert bar.sum() == 201  # 100 µm and its last pixel
    contour = error_picture(tissue, outcomes, contour=2)
    assert tuple(contour[150, 200]) == (200, 200, 200)
    assert tuple(contour[150, 101]) == (220, 30, 30)
    assert [nice_length(n) for n in (1, 19, 20, 260, 999)] == [1, 10, 20, 200, 500]


def test_the_truth_of_a_file_stays_as_it_is(find_desk, truth) -> None:
    """A file that is not open on the slide is never changed."""
    desk = find_desk
    desk.find("slide")
    before = truth.read_bytes()
    desk.widget.compare_panel.choose_file("truth", truth)
    desk.desk.comparing.set("complete", True)
    run(desk)
    desk.click(desk.widget.error_panel.next_button)
    assert "open the truth as GeoJSON" in desk.widget.error_panel.settle_button.toolTip()
    assert truth.read_bytes() == before
    assert len(read_geojson(truth).features) == 3
