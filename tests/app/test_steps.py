"""Every step and its exceptions, through the real panels over napari's viewer model."""

from __future__ import annotations

import threading

import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.session import open_session
from napari_histoaug.gui.widget import HistoaugWidget

VALUE = 1


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
    drawing = desk.controller.painting.visit.drawing(VALUE)
    assert drawing.boxes() == [(canvas.box[0] + 40, canvas.box[1] + 60, 1, 1)]


def test_a_wide_view_gets_a_coarser_canvas_that_fills_whole_pixels(desk):
    desk.controller.painting.limit = 512
    desk.look_at(700, 900, zoom=0.5)
    canvas = desk.paint_here()
    assert canvas.downsample != (1.0, 1.0)
    assert max(canvas.layer.data.shape) <= 512
    step = np.array(canvas.downsample)
    slide = desk.controller.slide_layer
    corner = slide.world_to_data(canvas.layer.data_to_world((9.5, 19.5)))
    np.testing.assert_allclose(np.add(corner, 0.5), canvas.box[:2] + step * (10, 20), atol=1e-6)


def test_the_network_sees_what_was_accepted_before(desk):
    part = desk.propose()
    desk.accept()
    desk.paint(y=350, x=500)
    desk.run()
    (part_2,) = desk.wait_proposal()
    y, x, height, width = part_2.box
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
    assert not any("inpaint" in layer.name for layer in desk.viewer.layers)
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
    desk.controller.painting.undo()
    np.testing.assert_array_equal(layer.data, painted)


def test_another_takes_the_next_seed(desk):
    desk.propose()
    desk.click(desk.widget.review_panel.another_button)
    desk.wait_proposal()
    assert [call["seed"] for call in desk.network.calls] == [0, 1]
    assert desk.widget.generate_panel.options.seed_box.value() == 1


def test_outlines_serve_as_masks_and_stay(desk):
    desk.click(desk.widget.paint_panel.outline_button)
    shapes = desk.viewer.layers.selection.active
    assert shapes.mode == "add_polygon"
    shapes.add_polygons(np.array([[299.5, 399.5], [299.5, 439.5], [349.5, 439.5], [349.5, 399.5]]))
    shapes.selected_data = set()
    desk.run()
    (part,) = desk.wait_proposal()
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
    parts = desk.wait_proposal()
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


def test_cancel_stops_within_one_evaluation(desk):
    before = desk.shown(0)
    desk.hold()
    desk.click(desk.widget.generate_panel.run_button)
    desk.wait_idle()
    assert desk.network.evaluations == 2
    assert desk.controller.proposal is None
    assert not any("inpaint" in layer.name for layer in desk.viewer.layers)
    np.testing.assert_array_equal(desk.shown(0), before)
    # and one can go on
    desk.network.steps, desk.network.wait_after = 3, None
    desk.run()
    desk.wait_proposal()


def test_a_result_whose_slide_is_gone_is_dropped_with_a_sentence(desk):
    desk.hold()
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


def test_two_viewers_do_not_know_each_other(desk, qtbot, network):
    other = ViewerModel()
    widget = HistoaugWidget(other, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    desk.propose()
    assert len(other.layers) == 0
    assert widget.controller.proposal is None
    assert "Open a whole-slide image" in widget.paint_panel.paint_button.toolTip()
    widget.controller.close()


def test_a_broken_model_is_a_sentence_and_the_panel_can_be_used_again(desk):
    def broken(source, device):
        raise HistoaugError("The model folder x lacks the tensor conv_in.weight; choose another.")

    working = desk.controller.shelf.load
    desk.controller.shelf.load = broken
    desk.paint_here()
    desk.paint()
    desk.run()
    desk.wait_idle()
    assert "lacks the tensor" in desk.widget.generate_panel.progress_label.text()
    assert desk.controller.proposal is None
    desk.controller.shelf.load = working
    desk.run()
    desk.wait_proposal()
    assert desk.controller.sentence == ""


def test_an_edit_that_cannot_be_written_stays_a_proposal(desk, monkeypatch):
    part = desk.propose()

    def refuse(*args):
        raise HistoaugError("Edits cannot be kept here; make the folder writable.")

    monkeypatch.setattr(desk.session.edits, "accept", refuse)
    before = desk.shown(0)
    desk.accept()
    assert "cannot be kept" in desk.controller.sentence
    assert desk.controller.proposal is not None
    np.testing.assert_array_equal(desk.shown(0), before)
    monkeypatch.undo()
    desk.accept()
    assert [edit.box for edit in desk.session.edits.edits] == [part.box]


def test_a_place_that_is_no_folder_is_a_sentence_at_export(desk, tmp_path):
    desk.propose()
    desk.accept()
    (tmp_path / "file").write_text("in the way")
    desk.widget.export_panel.folder_edit.setText(str(tmp_path / "file"))
    desk.click(desk.widget.export_panel.export_button)
    desk.wait_idle()
    assert "cannot be written" in desk.controller.sentence


def test_a_view_without_the_slide_is_a_sentence(desk):
    desk.look_at(-9000, -9000)
    assert desk.paint_here() is None
    assert "not in view" in desk.controller.sentence


def test_disabled_controls_say_why(desk):
    review, export = desk.widget.review_panel, desk.widget.export_panel
    assert not review.accept_button.isEnabled()
    assert "no proposal yet" in review.accept_button.toolTip()
    assert "no accepted edit" in review.undo_button.toolTip()
    assert "accept a proposal first" in export.export_button.toolTip()
    desk.propose()
    assert review.accept_button.isEnabled()
    assert "Not now" not in review.accept_button.toolTip()
    desk.accept()
    assert "Choose a folder" in export.export_button.toolTip()


def test_every_control_has_a_tooltip(desk):
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit)
    controls = [w for kind in kinds for w in desk.widget.findChildren(kind)]
    inner = {w.lineEdit() for w in desk.widget.findChildren(QAbstractSpinBox)}
    assert len(controls) > 15
    assert [w for w in controls if not w.toolTip() and w not in inner] == []


def test_the_options_reach_the_network(desk):
    panel = desk.widget.generate_panel.options
    panel.method_box.setCurrentText("repaint")
    panel.steps_box.setValue(7)
    panel.seed_box.setValue(12)
    panel.device_box.setCurrentText("cpu")
    panel.model_box.setCurrentText("mine")
    part = desk.propose()
    assert desk.network.loads == [("mine", "cpu")]
    assert (part.result.method, part.result.steps, part.result.seed) == ("repaint", 7, 12)


def test_hiding_the_proposal_shows_the_slide(desk):
    desk.propose()
    (layer,) = desk.controller.proposal.layers
    desk.widget.review_panel.blend.setValue(0)
    assert layer.opacity == 0
    desk.widget.review_panel.blend.setValue(40)
    assert layer.opacity == 0.4


def test_taking_the_proposal_out_of_the_layer_list_rejects_it(desk):
    desk.propose()
    desk.viewer.layers.remove(desk.controller.proposal.layers[0])
    assert desk.controller.proposal is None
    assert not desk.widget.review_panel.accept_button.isEnabled()


def test_undo_between_two_accepted_edits_takes_back_the_last(desk):
    desk.propose()
    desk.accept()
    first = desk.shown(0)
    desk.paint(y=330, x=470)
    desk.run()
    desk.wait_proposal()
    desk.accept()
    assert (desk.shown(0) != first).any()
    desk.click(desk.widget.review_panel.undo_button)
    desk.wait_idle()
    np.testing.assert_array_equal(desk.shown(0), first)


def test_layers_are_touched_on_the_main_thread_only(desk):
    touched_by = set()

    def note(event=None):
        touched_by.add(threading.current_thread())

    def watch(event):
        note()
        event.value.events.connect(note)

    desk.viewer.layers.events.inserted.connect(watch)
    desk.viewer.layers.events.removed.connect(note)
    desk.controller.slide_layer.events.connect(note)
    desk.controller.changed.connect(note)
    desk.controller.progressed.connect(note)
    desk.propose()
    desk.accept()
    desk.click(desk.widget.review_panel.undo_button)
    desk.wait_idle()
    assert touched_by == {threading.main_thread()}
    assert desk.network.threads[0] is not threading.main_thread()
