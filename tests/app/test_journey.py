"""The whole journey through the real widgets: open, paint, inpaint, review, export.

The network is a stand-in (``network``), but everything else is the real thing: a pyramid TIFF on
disk, the reader, napari's viewer and layers, the edit store, the buttons.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt

from napari_histoaug.gui import reader
from napari_histoaug.gui.session import SlideSession, open_session, session_of
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.patches import read_manifest

LONG = 20_000  # ms; never reached by a test that works
VALUE = 1


@dataclass
class Desk:
    """A viewer with an open slide and the docked widget."""

    qtbot: Any
    viewer: Any
    widget: HistoaugWidget
    path: Path
    network: Any

    @property
    def controller(self):
        return self.widget.controller

    @property
    def session(self) -> SlideSession:
        session = session_of(self.controller.slide_layer)
        assert session is not None
        return session

    def click(self, button) -> None:
        assert button.isEnabled(), button.toolTip()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait_idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.controller.busy, timeout=LONG)

    def look_at(self, y: float, x: float, zoom: float = 2.0) -> None:
        scale = self.session.scale
        self.viewer.camera.center = (y * scale[0], x * scale[1])
        self.viewer.camera.zoom = zoom

    def paint_here(self):
        self.click(self.widget.paint_panel.paint_button)
        return self.controller.canvas

    def paint(self, y: float = 350, x: float = 450) -> None:
        """A stroke of the brush across a level-0 place."""
        canvas = self.controller.canvas
        layer = canvas.layer
        layer.brush_size = 30
        for dx in range(0, 40, 5):
            at = (self.session.scale[0] * y, self.session.scale[1] * (x + dx))
            layer.paint(layer.world_to_data(at), layer.selected_label)

    def run(self) -> None:
        self.click(self.widget.generate_panel.run_button)

    def propose(self) -> Any:
        """Open a canvas, paint, inpaint; returns the finished part."""
        self.paint_here()
        self.paint()
        self.run()
        self.qtbot.waitUntil(lambda: self.controller.proposal is not None, timeout=LONG)
        self.wait_idle()
        (part,) = self.controller.proposal.parts
        return part

    def accept(self) -> None:
        self.click(self.widget.review_panel.accept_button)
        self.wait_idle()

    def shown(self, level: int = 0) -> np.ndarray:
        """All pixels of a level, as the viewer's array gives them."""
        return np.asarray(self.controller.slide_layer.data[level])


@pytest.fixture
def desk(make_napari_viewer, qtbot, make_pyramid_tiff, network):
    path = make_pyramid_tiff(shapes=[(1400, 1800), (700, 900)], name="case 7.tif").path
    viewer = make_napari_viewer()
    arrays, settings, _ = reader.slide_layer(path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(
        viewer, inpaint=network.inpaint, load_generator=network.load_generator
    )
    viewer.window.add_dock_widget(widget, name="Inpaint vessel", area="right")
    desk = Desk(qtbot, viewer, widget, path, network)
    desk.look_at(350, 450)
    yield desk
    network.gate.set()
    widget.controller.close()




def test_from_the_slide_to_the_exported_pair_and_back(desk, tmp_path):
    slide_bytes, level_0, level_1 = desk.path.read_bytes(), desk.shown(0), desk.shown(1)
    coarsest = desk.controller.slide_layer._slice.thumbnail.raw.copy()

    part = desk.propose()
    y, x, height, width = part.box
    inside = np.s_[y : y + height, x : x + width]
    assert min(height, width) >= 256
    np.testing.assert_array_equal(part.before, level_0[inside])
    # nothing is written before Accept
    np.testing.assert_array_equal(desk.shown(0), level_0)
    assert not desk.session.edits.folder.exists()

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
    assert (record.label, record.seed, record.method) == ("blood_vessel", 0, "pixel-time")
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


def test_reopening_a_slide_shows_its_accepted_edits(desk):
    part = desk.propose()
    desk.accept()
    expected = desk.shown(0)
    again = open_session(desk.path)
    np.testing.assert_array_equal(np.asarray(again.pyramid.arrays[0]), expected)
    assert [edit.box for edit in again.edits.edits] == [part.box]


def test_the_canvas_lies_exactly_on_the_slide(desk):
    canvas = desk.paint_here()
    layer, slide = canvas.layer, desk.controller.slide_layer
    assert layer.data.dtype == np.uint8
    assert max(layer.data.shape) <= 2048
    assert canvas.downsample == (1.0, 1.0)
    assert layer.units == slide.units
    for index in [(0, 0), (17, 5), (layer.data.shape[0] - 1, layer.data.shape[1] - 1)]:
        at = slide.world_to_data(layer.data_to_world(index))
        np.testing.assert_allclose(at, np.add(canvas.box[:2], index), atol=1e-6)
    # one painted pixel is one level-0 pixel of the hole
    layer.data_setitem((np.array([40]), np.array([60])), VALUE)
    drawing = canvas.drawing(VALUE)
    assert drawing.boxes() == [(canvas.box[0] + 40, canvas.box[1] + 60, 1, 1)]


def test_a_wide_view_gets_a_coarser_canvas_that_fills_whole_pixels(desk):
    desk.controller.canvas_limit = 512
    desk.look_at(700, 900, zoom=0.5)
    canvas = desk.paint_here()
    assert canvas.downsample != (1.0, 1.0)
    assert max(canvas.layer.data.shape) <= 512
    step = np.array(canvas.downsample)
    slide = desk.controller.slide_layer
    corner = slide.world_to_data(canvas.layer.data_to_world((9.5, 19.5)))
    np.testing.assert_allclose(np.add(corner, 0.5), canvas.box[:2] + step * (10, 20), atol=1e-6)


def test_a_new_canvas_replaces_a_bare_one_but_never_strokes(desk):
    first = desk.paint_here()
    second = desk.paint_here()
    assert first.layer not in desk.viewer.layers
    desk.paint()
    third = desk.paint_here()
    assert second.layer in desk.viewer.layers
    assert desk.controller.canvas is third
    # selecting a canvas makes its strokes count again
    desk.viewer.layers.selection.active = second.layer
    assert desk.controller.canvas is second


def test_the_network_sees_what_was_accepted_before(desk):
    part = desk.propose()
    desk.accept()
    desk.paint(y=350, x=500)
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.controller.proposal is not None, timeout=LONG)
    y, x, height, width = desk.controller.proposal.parts[0].box
    given = desk.network.calls[-1]["image"]
    np.testing.assert_array_equal(given, desk.shown(0)[y : y + height, x : x + width])
    assert (given == part.image[part.changed][0]).all(axis=-1).any()
    # the model was loaded once
    assert desk.network.loads == [(None, "auto")]


def test_reject_keeps_the_slide_and_the_strokes(desk):
    before = desk.shown(0)
    desk.propose()
    painted = desk.controller.canvas.layer.data.copy()
    desk.click(desk.widget.review_panel.reject_button)
    assert desk.controller.proposal is None
    assert len(desk.viewer.layers) == 2
    assert painted.any()
    np.testing.assert_array_equal(desk.controller.canvas.layer.data, painted)
    np.testing.assert_array_equal(desk.shown(0), before)
    assert desk.session.edits.edits == []


def test_accept_erases_the_strokes_it_used_and_they_can_be_brought_back(desk):
    desk.propose()
    layer = desk.controller.canvas.layer
    painted = layer.data.copy()
    desk.accept()
    assert not layer.data.any()
    layer.undo()
    np.testing.assert_array_equal(layer.data, painted)


def test_another_takes_the_next_seed(desk):
    desk.propose()
    desk.click(desk.widget.review_panel.another_button)
    desk.qtbot.waitUntil(lambda: desk.controller.proposal is not None, timeout=LONG)
    desk.wait_idle()
    assert [call["seed"] for call in desk.network.calls] == [0, 1]
    assert desk.widget.generate_panel.seed_box.value() == 1


def test_outlines_serve_as_masks_and_stay(desk):
    desk.click(desk.widget.paint_panel.outline_button)
    shapes = desk.viewer.layers.selection.active
    assert shapes.mode == "add_polygon"
    shapes.add_polygons(np.array([[299.5, 399.5], [299.5, 439.5], [349.5, 439.5], [349.5, 399.5]]))
    shapes.selected_data = set()
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.controller.proposal is not None, timeout=LONG)
    desk.wait_idle()
    (part,) = desk.controller.proposal.parts
    expected = np.zeros(part.hole.shape, bool)
    y, x = 300 - part.box[0], 400 - part.box[1]
    expected[y : y + 50, x : x + 40] = True
    np.testing.assert_array_equal(part.hole, expected)
    desk.accept()
    assert len(shapes.data) == 1
    # a used outline is not filled again
    desk.run()
    assert "No vessel is painted yet" in desk.controller.sentence


def test_far_holes_of_one_canvas_are_filled_one_after_the_other(desk):
    desk.look_at(700, 900, zoom=0.5)
    desk.paint_here()
    desk.paint(y=200, x=200)
    desk.paint(y=1200, x=1500)
    before = desk.shown(0)
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.controller.proposal is not None, timeout=LONG)
    desk.wait_idle()
    parts = desk.controller.proposal.parts
    assert len(parts) == 2
    desk.accept()
    expected = before.copy()
    for part in parts:
        y, x, height, width = part.box
        expected[y : y + height, x : x + width][part.changed] = part.image[part.changed]
    np.testing.assert_array_equal(desk.shown(0), expected)


def test_the_work_is_done_elsewhere_and_its_steps_are_told(desk):
    told = []
    desk.controller.progressed.connect(told.append)
    desk.propose()
    assert desk.network.threads[0] is not threading.main_thread()
    assert told[-1].text.startswith("step 4/4, ")


def test_previews_are_shown_while_the_network_works(desk):
    desk.network.wait_after = 2
    desk.paint_here()
    desk.paint()
    desk.run()
    desk.qtbot.waitUntil(lambda: len(desk.viewer.layers) == 3, timeout=LONG)
    preview = desk.viewer.layers[-1]
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


def test_cancel_stops_within_one_evaluation(desk):
    desk.network.steps, desk.network.wait_after = 50, 2
    before = desk.shown(0)
    desk.paint_here()
    desk.paint()
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.network.evaluations == 2, timeout=LONG)
    desk.click(desk.widget.generate_panel.run_button)
    desk.network.gate.set()
    desk.wait_idle()
    assert desk.network.evaluations == 2
    assert desk.controller.proposal is None
    assert len(desk.viewer.layers) == 2
    np.testing.assert_array_equal(desk.shown(0), before)
    # and one can go on
    desk.network.steps = 3
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.controller.proposal is not None, timeout=LONG)


def start_and_hold(desk):
    """Start generating and leave it waiting in its third evaluation."""
    desk.network.steps, desk.network.wait_after = 50, 2
    desk.paint_here()
    desk.paint()
    desk.run()
    desk.qtbot.waitUntil(lambda: desk.network.evaluations == 2, timeout=LONG)
    threading.Timer(0.2, desk.network.gate.set).start()


def test_closing_the_panel_cancels_and_waits(desk):
    start_and_hold(desk)
    desk.viewer.window.remove_dock_widget(desk.widget)
    assert desk.network.gate.is_set()
    assert desk.network.evaluations == 2
    assert desk.controller.job is None


def test_closing_the_window_cancels_and_waits(desk):
    start_and_hold(desk)
    desk.viewer.close()
    assert desk.network.gate.is_set()
    assert desk.network.evaluations == 2
    assert desk.controller.job is None


def test_a_result_whose_slide_is_gone_is_dropped_with_a_sentence(desk):
    start_and_hold(desk)
    desk.network.steps = 3
    desk.viewer.layers.remove(desk.controller.slide_layer)
    desk.network.gate.set()
    desk.wait_idle()
    assert desk.controller.proposal is None
    assert not any("inpaint" in layer.name for layer in desk.viewer.layers)
    assert "slide was closed" in desk.controller.sentence


def test_nothing_painted_is_a_sentence_and_no_traceback(desk):
    desk.paint_here()
    desk.run()
    assert "No vessel is painted yet" in desk.widget.generate_panel.progress_label.text()
    assert desk.network.calls == []


def test_two_windows_do_not_know_each_other(desk, make_napari_viewer, network):
    other = make_napari_viewer()
    widget = HistoaugWidget(other, inpaint=network.inpaint, load_generator=network.load_generator)
    other.window.add_dock_widget(widget)
    desk.propose()
    assert len(other.layers) == 0
    assert widget.controller.proposal is None
    assert "Open a whole-slide image" in widget.paint_panel.paint_button.toolTip()
    widget.controller.close()


@pytest.mark.bundled
def test_the_bundled_model_paints_a_vessel(make_napari_viewer, qtbot, shared_data, tmp_path):
    from napari_histoaug.errors import HistoaugError
    from napari_histoaug.generation import load_generator

    try:
        load_generator()
    except HistoaugError as error:
        pytest.skip(f"the bundled model is not there: {error}")
    path = tmp_path / "CMU-1-Small-Region.svs"
    shutil.copy(shared_data / "wsi" / path.name, path)
    viewer = make_napari_viewer()
    arrays, settings, _ = reader.slide_layer(path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer)
    viewer.window.add_dock_widget(widget)
    desk = Desk(qtbot, viewer, widget, path, None)
    desk.look_at(1400, 560)
    before = desk.shown(0)
    desk.paint_here()
    desk.paint(1400, 560)
    widget.generate_panel.steps_box.setValue(4)
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
