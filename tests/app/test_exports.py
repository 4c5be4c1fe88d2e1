"""The Export panel: every kind of thing, off the main thread, with progress and *Cancel*."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import shapely
import tifffile

from napari_histoaug.annotations import Document, Feature, read_geojson, write_geojson
from napari_histoaug.gui.annotation_reader import layer_data, load
from napari_histoaug.gui.exporting import WAYS
from napari_histoaug.patches import manifest


@pytest.fixture
def accepted(desk, tmp_path):
    """A desk with an accepted edit and a folder chosen."""
    desk.propose()
    desk.accept()
    desk.widget.export_panel.folder_edit.setText(str(tmp_path / "out"))
    return desk


def choose(desk, way):
    panel = desk.widget.export_panel
    panel.way_box.setCurrentIndex(panel.way_box.findData(way))
    panel.way_box.activated.emit(panel.way_box.currentIndex())
    return panel


def export(desk, way):
    panel = choose(desk, way)
    desk.click(panel.export_button)
    desk.wait_idle()
    assert desk.controller.sentence == ""


@pytest.mark.parametrize("way", [way for way in WAYS if way != "patches"])
def test_every_way_writes_one_thing_named_by_the_salted_id(accepted, tmp_path, way):
    export(accepted, way)
    names = [path.name for path in (tmp_path / "out").iterdir() if path.name != "manifest.csv"]
    assert names
    assert all(name.startswith(accepted.session.slide.slide_id()) for name in names)


def test_patches_follow_the_options(accepted, tmp_path):
    panel = choose(accepted, "patches")
    assert not panel.patch_options.isHidden()
    panel.size_box.setValue(64)
    panel.stride_box.setValue(32)
    panel.mpp_box.setValue(1.0)
    panel.form_box.setCurrentIndex(panel.form_box.findData("tar"))
    export(accepted, "patches")
    (folder,) = (tmp_path / "out").iterdir()
    info = manifest.read_info(folder / "manifest.parquet")
    assert (info.settings.size, info.settings.stride, info.settings.mpp) == (64, 32, 1.0)
    assert info.only.patches > 3
    assert list((folder / "tar").glob("*.tar"))
    choose(accepted, "outlines")
    assert panel.patch_options.isHidden()


def test_annotations_on_the_slide_go_with_the_masks(accepted, tmp_path):
    path = tmp_path / "drawn.geojson"
    square = Feature.new(shapely.box(600, 600, 700, 700), "fatty_tissue", (1, 2, 3))
    write_geojson(Document.from_features([square]), path)
    slide_layer = accepted.controller.slide_layer
    data, settings, _ = layer_data(load(path, slide_layer, lambda error: None).view, slide_layer)
    accepted.viewer.add_labels(data, **settings)
    export(accepted, "outlines")
    (written,) = (tmp_path / "out").iterdir()
    names = [feature.class_name for feature in read_geojson(written).features]
    assert sorted(names) == ["blood_vessel", "fatty_tissue"]


def test_the_flattened_slide_is_what_is_shown(accepted, tmp_path):
    export(accepted, "ome-tiff")
    (path,) = (tmp_path / "out").iterdir()
    np.testing.assert_array_equal(tifffile.imread(path, series=0, level=0), accepted.shown(0))


def test_a_running_export_is_told_and_cancelled(accepted, tmp_path, monkeypatch):
    from napari_histoaug.exports import flattening

    reached, go_on = threading.Event(), threading.Event()
    halved, seen = flattening.halved, []

    def slow(image):
        seen.append(threading.current_thread())
        reached.set()
        go_on.wait(20)
        return halved(image)

    monkeypatch.setattr(flattening, "halved", slow)
    panel = choose(accepted, "ome-zarr")
    accepted.click(panel.export_button)
    accepted.qtbot.waitUntil(reached.is_set, timeout=20_000)
    assert panel.export_button.text() == "Cancel"
    assert not panel.progress_label.isHidden()
    assert not accepted.widget.generate_panel.run_button.isEnabled()
    accepted.click(panel.export_button)
    go_on.set()
    accepted.wait_idle()
    assert list((tmp_path / "out").iterdir()) == []
    assert seen[0] is not threading.main_thread()
    assert panel.export_button.text() == "Export"


def test_without_edits_only_outlines_labels_and_patches_may_be_tried(desk, tmp_path):
    desk.widget.export_panel.folder_edit.setText(str(tmp_path / "out"))
    for way in WAYS:
        panel = choose(desk, way)
        assert panel.export_button.isEnabled() == (way in ("outlines", "labels", "patches"))
        if not panel.export_button.isEnabled():
            assert "no accepted edit" in panel.export_button.toolTip()
    choose(desk, "outlines")
    desk.click(panel.export_button)
    desk.wait_idle()
    assert "nothing to write" in desk.controller.sentence
