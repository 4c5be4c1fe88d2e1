"""Finding vessels through the real panel: fields as they come, thresholds, filter, files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from napari.components import ViewerModel

from napari_histoaug.annotations import ClassTable, rasterize, read_geojson
from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import segmenters
from napari_histoaug.gui.compare_widget import FindAndCompareWidget
from napari_histoaug.gui.finding_work import on_grid
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.models import (
    ObjectClassifier,
    ObjectClassifierConfig,
    SegmentationUNet,
    SegmentationUNetConfig,
)
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter
from napari_histoaug.patches.grid import Grid
from napari_histoaug.segmentation import PredictionStore, load_segmenter, predict_slide
from napari_histoaug.segmentation.false_positives import save_filter
from napari_histoaug.segmentation.tissue_windows import tissue_windows

LONG = 20_000
SMALL = SegmentationUNetConfig(classes=1, encoder="resnet18", width=8, decoder=(8, 8, 8, 8, 8))


def test_the_view_is_found_field_by_field_off_the_main_thread(find_desk) -> None:
    desk = find_desk
    told = []
    desk.desk.progressed.connect(told.append)
    found = desk.find()
    assert found.live.looked_at[0, 0]
    assert not found.live.looked_at[:, 2:].any()
    np.testing.assert_array_equal(desk.labels(), desk.expected(1))
    assert told[-1].text.startswith("field ")
    assert threading.main_thread() not in desk.segmenter.threads
    probability, marks = found.layers
    assert (probability.name, marks.name) == ("red probability", "red found")
    for layer in found.layers:
        assert layer.units == desk.slide_layer.units
        np.testing.assert_allclose(layer.translate, desk.slide_layer.translate)
    # what was found is not computed again, the rest of the slide is
    before = desk.segmenter.windows
    desk.find()
    assert desk.segmenter.windows == before
    desk.find("slide")
    assert found.live.looked_at.all()
    assert desk.desk.finding.found is found
    np.testing.assert_array_equal(desk.labels(), desk.expected())
    assert len(desk.viewer.layers) == 3


def test_the_threshold_moves_the_labels_at_once_and_no_small_vessel_is_lost(find_desk) -> None:
    desk = find_desk
    found = desk.find("slide")
    for threshold, count in ((0.9, 1), (0.6, 2), (0.5, 3)):
        desk.panel.threshold.setValue(threshold)
        np.testing.assert_array_equal(desk.labels(), desk.expected(count))
        coarse = np.asarray(found.labels_layer.data[1])[:700, :900]
        halves = desk.expected(count).reshape(700, 2, 900, 2).max(axis=(1, 3))
        np.testing.assert_array_equal(coarse, halves)


def test_cancel_keeps_what_is_there_and_one_can_go_on(find_desk) -> None:
    desk = find_desk
    desk.segmenter.wait_after = 30
    desk.desk.finding.set("scope", "slide")
    desk.click(desk.panel.run_button)
    desk.qtbot.waitUntil(lambda: desk.desk.finding.found is not None, timeout=LONG)
    assert desk.panel.run_button.text() == "Cancel"
    desk.click(desk.panel.run_button)
    desk.segmenter.gate.set()
    desk.wait_idle()
    found = desk.desk.finding.found
    assert found.live.looked_at.sum() < found.live.looked_at.size
    assert desk.panel.run_button.text() == "Find vessels"
    desk.find("slide")
    np.testing.assert_array_equal(desk.labels(), desk.expected())


def test_only_the_region_is_looked_at(find_desk) -> None:
    desk = find_desk
    desk.desk.finding.set("scope", "region")
    assert "No region is drawn" in desk.panel.run_button.toolTip()
    desk.click(desk.panel.region_button)
    layer = desk.viewer.layers[-1]
    layer.add_rectangles([[890, 1190], [890, 1260], [960, 1260], [960, 1190]])
    assert desk.desk.region_box() == (890, 1190, 71, 71)
    found = desk.find("region")
    assert np.argwhere(found.live.looked_at).tolist() == [[1, 2]]


def test_results_are_written_for_qupath_and_as_a_prediction(find_desk, tmp_path) -> None:
    desk = find_desk
    desk.find("slide")
    desk.panel.threshold.setValue(0.6)
    finding = desk.desk.finding
    finding.write(tmp_path / "found.geojson")
    desk.wait_idle()
    assert "2 outlines were written" in desk.widget.news.text()
    document = read_geojson(tmp_path / "found.geojson")
    table = ClassTable.from_names(["blood_vessel"])
    np.testing.assert_array_equal(rasterize(document, table, (0, 0, 1400, 1800)), desk.expected(2))
    finding.write(tmp_path / "found.zarr")
    desk.wait_idle()
    store = PredictionStore.open(tmp_path / "found.zarr")
    np.testing.assert_array_equal(store.levels("labels/classes")[0][:], desk.expected(2))
    assert store.facts["thresholds"] == [0.6]
    assert "red" not in str(store.facts["slide_id"])
    finding.write(tmp_path / "found.zarr")
    desk.wait_idle()
    assert "exists; choose another name" in desk.widget.news.text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.geojson", "found.zarr"]


def test_a_filter_drops_objects_until_the_threshold_moves(find_desk, tmp_path) -> None:
    desk = find_desk
    desk.find("slide")
    torch.manual_seed(0)
    config = ObjectClassifierConfig(side=32, width=4, threshold=1.0)
    save_filter(tmp_path / "filter", ObjectClassifier(config))
    desk.desk.finding.filter(tmp_path / "filter")
    desk.wait_idle()
    assert "3 blood vessel before, 0 after" in desk.widget.news.text()
    assert not desk.labels().any()
    desk.panel.threshold.setValue(0.6)
    np.testing.assert_array_equal(desk.labels(), desk.expected(2))
    desk.desk.finding.filter(tmp_path / "nothing")
    desk.wait_idle()
    assert "nothing" in desk.widget.news.text()


def test_what_is_missing_is_said(find_desk, monkeypatch, qtbot) -> None:
    desk = find_desk
    monkeypatch.undo()
    monkeypatch.setattr(segmenters, "known_segmenters", dict)
    desk.desk.changed.emit()
    assert "There is no segmenter yet" in desk.panel.facts.text()
    assert "There is no segmenter yet" in desk.panel.run_button.toolTip()
    desk.panel.model_box.setCurrentText("elsewhere")
    assert "no segmenter in elsewhere" in desk.panel.facts.text()
    monkeypatch.setattr(segmenters.importlib.util, "find_spec", lambda name: None)
    desk.desk.changed.emit()
    assert "PyTorch, which is not installed" in desk.panel.facts.text()
    bare = FindAndCompareWidget(ViewerModel())
    qtbot.addWidget(bare)
    assert not bare.find_panel.run_button.isEnabled()
    bare.desk.close()


def test_a_segmenter_that_cannot_be_loaded_is_a_sentence(find_desk, monkeypatch) -> None:
    desk = find_desk

    def broken(source: str | None, device: str) -> Any:
        raise HistoaugError("The segmenter folder x lacks unet; choose another one.")

    monkeypatch.setattr(desk.desk.finding._shelf, "load", broken)
    desk.click(desk.panel.run_button)
    desk.wait_idle()
    assert "lacks unet" in desk.widget.news.text()
    assert desk.desk.finding.found is None


def test_a_slide_that_is_closed_takes_its_result_along(find_desk) -> None:
    desk = find_desk
    desk.find()
    folder = Path(desk.desk.finding.found.live._folder.name)
    assert folder.is_dir()
    desk.viewer.layers.remove(desk.slide_layer)
    assert desk.desk.finding.found is None
    assert len(desk.viewer.layers) == 0
    assert not folder.exists()


def test_a_slide_closed_while_it_is_searched_ends_the_job(find_desk) -> None:
    desk = find_desk
    desk.segmenter.wait_after = 30
    desk.desk.finding.set("scope", "slide")
    desk.click(desk.panel.run_button)
    desk.qtbot.waitUntil(lambda: desk.desk.finding.found is not None, timeout=LONG)
    desk.viewer.layers.remove(desk.slide_layer)
    desk.segmenter.gate.set()
    desk.wait_idle()
    assert desk.desk.finding.found is None


def test_fields_say_what_the_whole_slide_says(red_slide, tmp_path, qtbot) -> None:
    """A real network, through the panel and headless: the same probabilities."""
    torch.manual_seed(3)
    index = SegmenterIndex(
        name="tiny", classes=("blood_vessel",), mpp=(1.0, 1.0), patch=128, thresholds=(0.5,)
    )
    save_segmenter(tmp_path / "tiny", index, SegmentationUNet(SMALL).eval(), dtype=torch.float32)
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(red_slide)
    viewer.add_image(arrays, **settings)
    widget = FindAndCompareWidget(viewer)
    qtbot.addWidget(widget)
    widget.desk.finding.settings.device = "cpu"
    widget.find_panel.model_box.setCurrentText(str(tmp_path / "tiny"))
    assert "Finds blood vessel at 1 µm" in widget.find_panel.facts.text()
    widget.desk.finding.set("scope", "slide")
    widget.find_panel.run_button.click()
    qtbot.waitUntil(lambda: not widget.desk.busy, timeout=LONG)
    found = widget.desk.finding.found
    assert found is not None, widget.news.text()
    slide = found.session.slide
    windows = tissue_windows(slide, found.live.grid)
    tiny = load_segmenter(tmp_path / "tiny", "cpu")
    predict_slide(tiny, slide, tmp_path / "whole.zarr", wanted=windows, about=windows.about)
    whole = PredictionStore.open(tmp_path / "whole.zarr").levels()[0][:]
    assert found.live.grid.shape == (700, 900)
    fields = found.live.probabilities(0, (0, 0, 700, 900)).astype(int)
    assert fields.any()
    np.testing.assert_allclose(fields, whole, atol=1)
    widget.desk.close()


def test_a_level_0_box_becomes_pixels_of_the_grid() -> None:
    grid = Grid((100, 200), (2.0, 2.0), 0, None)
    assert on_grid((3, 5, 4, 4), grid) == (1, 2, 3, 3)
    assert on_grid((-10, 390, 20, 300), grid) == (0, 195, 5, 5)
