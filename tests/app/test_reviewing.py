"""Looking at results, deciding by key, and the journal, through the real widgets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.utils.action_manager import action_manager
from napari.utils.shortcuts import default_shortcuts

from napari_histoaug.gui.judging import Scores
from napari_histoaug.gui.reviewing import KEYS
from napari_histoaug.gui.synthetic_mark import WARNING


def press(desk, key: str) -> None:
    for bound, action in desk.viewer.keymap.items():
        if str(bound) == key.replace("-", "+"):
            action(desk.viewer)
            return
    raise AssertionError(f"{key} is not bound")


def test_keys_decide(desk):
    first = desk.propose()
    press(desk, "Shift-B")
    assert desk.widget.review_panel.blend.value() == 0
    press(desk, "Shift-B")
    assert desk.widget.review_panel.blend.value() == 100
    press(desk, "Shift-R")
    assert desk.controller.proposal is None
    desk.run()
    desk.wait_proposal()
    press(desk, "Shift-K")
    desk.wait_idle()
    assert [edit.box for edit in desk.session.edits.edits] == [first.box]
    desk.controller.close()
    assert not {key.replace("-", "+") for key in KEYS} & {str(k) for k in desk.viewer.keymap}


def test_our_keys_are_none_of_naparis():
    assert action_manager is not None
    theirs = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert theirs
    assert not theirs & {key.replace("-", "+") for key in KEYS}


def test_a_proposal_is_looked_at_in_other_ways(desk):
    part = desk.propose()
    (layer,) = desk.controller.proposal.layers
    panel = desk.widget.review_panel
    result = np.array(layer.data)
    for index in (1, 2):
        panel.look_box.setCurrentIndex(index)
        panel.look_box.activated.emit(index)
        assert (np.asarray(layer.data) != result).any()
    panel.look_box.setCurrentIndex(0)
    panel.look_box.activated.emit(0)
    np.testing.assert_array_equal(layer.data, result)
    panel.outline_box.setChecked(True)
    differing = np.any(np.asarray(layer.data) != result, axis=-1)
    assert differing.any()
    panel.blend.setValue(30)
    assert layer.opacity == 0.3
    # however it is looked at, what is accepted is the result
    desk.accept()
    y, x, height, width = part.box
    inside = np.s_[y : y + height, x : x + width]
    np.testing.assert_array_equal(desk.shown(0)[inside][part.changed], part.image[part.changed])


def test_the_journal_lists_and_flies(desk):
    desk.propose()
    desk.accept()
    desk.paint(y=330, x=470)
    desk.run()
    desk.wait_proposal()
    desk.accept()
    journal = desk.widget.review_panel.journal
    first, second = desk.session.edits.edits
    assert journal.list.count() == 2
    desk.qtbot.waitUntil(lambda: len(journal._pictures) == 2, timeout=20_000)
    desk.look_at(1300, 100)
    journal.list.itemClicked.emit(journal.list.item(1))
    y, x, height, width = first.box
    scale = desk.session.scale
    centre = np.array([(y + height / 2) * scale[0], (x + width / 2) * scale[1]])
    np.testing.assert_allclose(desk.viewer.camera.center[-2:], centre)
    desk.click(desk.widget.review_panel.undo_button)
    desk.wait_idle()
    assert "taken back" in journal.list.item(0).text()
    assert "1 accepted edit, 1 taken back" in journal.title.text()
    assert second == desk.session.edits.undone[-1]


def test_an_accepted_edit_is_compared_like_a_proposal(desk):
    part = desk.propose()
    desk.accept()
    panel, reviewing = desk.widget.review_panel, desk.controller.reviewing
    assert not panel.blend.isEnabled()
    assert "click an accepted edit" in panel.blend.toolTip()
    journal, kept = panel.journal, desk.session.edits.edits
    journal.list.itemClicked.emit(journal.list.item(0))
    assert panel.blend.isEnabled()
    layer = reviewing.result_layer(desk.controller.slide_layer, desk.session).layer
    assert not layer.data[..., 3].any()  # the slide shows the result already
    panel.blend.setValue(0)
    shown = np.array(layer.data)
    np.testing.assert_array_equal(shown[..., 3] != 0, part.changed)
    np.testing.assert_array_equal(shown[part.changed][:, :3], part.before[part.changed])
    at = desk.controller.slide_layer.world_to_data(layer.data_to_world((0, 0)))
    np.testing.assert_allclose(at, part.box[:2], atol=1e-6)
    panel.blend.setValue(50)
    middle = (part.before[part.changed].astype(float) + part.image[part.changed]) / 2
    np.testing.assert_allclose(layer.data[part.changed][:, :3], middle, atol=0.5)
    panel.blend.setValue(100)
    assert not layer.data.any()
    panel.look_box.activated.emit(1)
    assert layer.data.any()
    assert desk.session.edits.edits == kept
    desk.click(panel.undo_button)
    desk.wait_idle()
    assert not layer.data.any()
    journal.list.itemClicked.emit(journal.list.item(0))  # taken back: nothing to compare
    assert not panel.blend.isEnabled()


def test_a_segmenter_s_opinion_stands_beside_the_result(desk):
    asked = []

    def judge(before, after, hole, label, mpp, device):
        asked.append((before, after, hole, label, mpp, device))
        return Scores(label, 0.75, 0.5 * (len(asked) - 1), "stand-in")

    making, panel = desk.controller.making, desk.widget.review_panel
    making.engine = replace(making.engine, judge=judge)
    assert panel.scores.isHidden()
    part = desk.propose()
    ((before, after, hole, *rest),) = asked
    np.testing.assert_array_equal(before, part.before)
    np.testing.assert_array_equal(after, part.image)
    np.testing.assert_array_equal(hole, part.hole)
    assert rest == ["blood_vessel", desk.session.slide.mpp, "auto"]
    assert "blood vessel seen in 75% of what was painted, 0% before" in panel.scores.text()
    assert "Realism: no model here." in panel.scores.text()
    assert "stand-in" in panel.scores.toolTip()
    making.engine = replace(making.engine, judge=lambda *_: "There is no segmenter here.")
    desk.run()
    desk.wait_proposal()
    assert panel.scores.text().startswith("There is no segmenter here.")
    desk.accept()
    assert panel.scores.isHidden()


def test_a_mark_warns_wherever_synthetic_pixels_are_in_view(desk):
    overlay = desk.viewer.canvas.overlays.text if hasattr(desk.viewer, "canvas") else None
    overlay = overlay or desk.viewer.text_overlay
    assert not overlay.visible
    desk.propose()
    assert overlay.visible
    assert overlay.text == WARNING
    desk.accept()
    assert overlay.visible
    desk.look_at(1300, 1700, zoom=20)
    assert not overlay.visible
    desk.look_at(350, 450)
    assert overlay.visible
    desk.click(desk.widget.review_panel.undo_button)
    desk.wait_idle()
    assert not overlay.visible
