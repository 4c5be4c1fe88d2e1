"""The whole journey through the real widgets in a real napari window.

The network is a stand-in, but everything else is the real thing: a pyramid TIFF on disk, the
reader, napari's viewer and layers, the edit store, the buttons.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from PIL import Image

from napari_histoaug.gui.commands import export_pair
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.patches import read_manifest

VALUE = 1


def test_from_the_slide_to_the_exported_pair_and_back(window_desk, tmp_path):
    desk = window_desk
    slide_bytes, level_0, level_1 = desk.path.read_bytes(), desk.shown(0), desk.shown(1)
    coarsest = desk.controller.slide_layer._slice.thumbnail.raw.copy()

    part = desk.propose()
    y, x, height, width = part.box
    inside = np.s_[y : y + height, x : x + width]
    assert min(height, width) >= 256
    np.testing.assert_array_equal(part.before, level_0[inside])
    # no edit is written before Accept, only what was painted
    np.testing.assert_array_equal(desk.shown(0), level_0)
    assert [path.name for path in desk.session.edits.folder.iterdir()] == ["painted.zarr"]

    desk.accept()
    after = desk.shown(0)
    expected = level_0.copy()
    expected[inside][part.changed] = part.image[part.changed]
    np.testing.assert_array_equal(after, expected)
    assert (expected != level_0).any(axis=-1).sum() == part.changed.sum()
    assert (desk.shown(1) != level_1).any()
    # the level that napari keeps in memory is fresh too
    assert (desk.controller.slide_layer._slice.thumbnail.raw != coarsest).any()
    assert desk.controller.proposal is None
    assert not any("inpaint" in layer.name for layer in desk.viewer.layers)

    record = desk.session.edits.edits[-1]
    assert record.box == part.box
    assert (record.label, record.seed, record.method) == ("blood_vessel", 0, "turbo")
    assert record.model_sha256 == "f" * 64
    assert record.slide_sha256 == desk.session.slide.sha256()
    assert "napari-histoaug" in record.versions

    folder = tmp_path / "pairs"
    desk.widget.export_panel.folder_edit.setText(str(folder))
    desk.click(desk.widget.export_panel.export_button)
    desk.wait_idle()
    (row,) = read_manifest(folder)
    np.testing.assert_array_equal(np.array(Image.open(folder / row["image"])), expected[inside])
    mask = np.array(Image.open(folder / row["mask"]))
    np.testing.assert_array_equal(mask, np.where(part.hole, VALUE, 0))
    assert row["slide_id"] == desk.session.slide.slide_id()
    assert float(row["synthetic_fraction"]) == pytest.approx(part.changed.mean())
    assert not any("case 7" in path.name for path in folder.iterdir())

    desk.click(desk.widget.review_panel.undo_button)
    desk.wait_idle()
    np.testing.assert_array_equal(desk.shown(0), level_0)
    np.testing.assert_array_equal(desk.shown(1), level_1)
    np.testing.assert_array_equal(desk.controller.slide_layer._slice.thumbnail.raw, coarsest)

    desk.click(desk.widget.review_panel.redo_button)
    desk.wait_idle()
    np.testing.assert_array_equal(desk.shown(0), expected)
    assert desk.path.read_bytes() == slide_bytes


def test_previews_are_shown_while_the_network_works(window_desk):
    desk = window_desk
    desk.network.wait_after = 2
    desk.paint_here()
    desk.paint()
    desk.run()
    assert len(desk.viewer.layers) == 4
    preview = desk.viewer.layers[-1]
    desk.qtbot.waitUntil(lambda: preview.data.any(), timeout=20_000)
    assert desk.widget.generate_panel.run_button.text() == "Cancel"
    assert preview.data.shape[-1] == 4
    first = preview.data.copy()
    # the brush stays in the hand
    assert desk.viewer.layers.selection.active is desk.controller.canvas.layer
    desk.network.gate.set()
    desk.wait_idle()
    assert (preview.data != first).any()
    assert desk.viewer.layers[-1] is preview
    assert desk.widget.generate_panel.run_button.text() == "Inpaint vessel"


def test_closing_the_panel_cancels_and_waits(window_desk):
    desk = window_desk
    desk.hold()
    desk.viewer.window.remove_dock_widget(desk.widget)
    assert desk.network.evaluations == 2
    assert desk.controller.job is None


def test_closing_the_window_cancels_and_waits(window_desk):
    desk = window_desk
    desk.hold()
    desk.viewer.close()
    assert desk.network.evaluations == 2
    assert desk.controller.job is None


@pytest.mark.bundled
def test_the_bundled_model_paints_a_vessel(
    make_napari_viewer, qtbot, shared_data, tmp_path, desk_class
):
    from napari_histoaug.errors import HistoaugError
    from napari_histoaug.generation import load_generator

    try:
        load_generator()
    except HistoaugError as error:
        pytest.skip(f"the bundled model is not there: {error}")
    path = tmp_path / "CMU-1-Small-Region.svs"
    shutil.copy(shared_data / "wsi" / path.name, path)
    viewer = make_napari_viewer()
    arrays, settings, _ = slide_layer(path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer)
    viewer.window.add_dock_widget(widget)
    desk = desk_class(qtbot, viewer, widget, path, None)
    desk.look_at(1400, 1000)
    before = desk.shown(0)
    desk.paint_here()
    desk.paint(1400, 1000)
    widget.generate_panel.options.steps_box.setValue(4)
    desk.run()
    qtbot.waitUntil(lambda: not desk.controller.busy, timeout=240_000)
    assert desk.controller.sentence == ""
    (part,) = desk.controller.proposal.parts
    desk.accept()
    expected = before.copy()
    y, x, height, width = part.box
    expected[y : y + height, x : x + width][part.changed] = part.image[part.changed]
    np.testing.assert_array_equal(desk.shown(0), expected)
    assert (part.image[part.hole] != part.before[part.hole]).any()
    widget.controller.close()


def test_the_menu_command_opens_the_panel_and_says_what_is_missing(npe2pm, make_napari_viewer):
    npe2pm.register(PluginManifest.from_distribution("napari-histoaug"))
    viewer = make_napari_viewer()
    notification_manager.records.clear()
    export_pair(viewer)
    assert ["Open a whole-slide image" in r.message for r in notification_manager.records] == [True]
    # the panel is open now, and found again instead of opened twice
    _, widget = viewer.window.add_plugin_dock_widget("napari-histoaug", "Inpaint vessel")
    assert isinstance(widget, HistoaugWidget)
    export_pair(viewer)
    assert len(notification_manager.records) == 2
    _, again = viewer.window.add_plugin_dock_widget("napari-histoaug", "Inpaint vessel")
    assert again is widget
    widget.controller.close()
