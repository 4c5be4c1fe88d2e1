"""A good guest in napari: keys, commands, several viewers and slides, names, coming back."""

from __future__ import annotations

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.notifications import notification_manager
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest
from qtpy.QtWidgets import QWidget

from napari_histoaug.gui import actions, commands, compare_actions, whereabouts
from napari_histoaug.gui.exporting import WAYS
from napari_histoaug.gui.key_help import KeyHelp
from napari_histoaug.gui.painting import TOOL_KEYS
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.reviewing import KEYS as REVIEW_KEYS
from napari_histoaug.gui.widget import HistoaugWidget

FINDING = [action.key for action in compare_actions.ACTIONS.values()]
OURS = [action.key for action in actions.ACTIONS.values() if action.key] + list(REVIEW_KEYS)


def press(viewer, key):
    viewer.keymap[coerce_keybinding(key)](viewer)


def test_no_key_is_napari_s_own_or_bound_twice():
    taken = {coerce_keybinding(key) for keys in default_shortcuts.values() for key in keys}
    for kind in (Image, Labels, Points, Shapes, ViewerModel):
        taken |= set(kind.class_keymap)
    own = [coerce_keybinding(key) for key in (*OURS, *FINDING)]
    tools = {coerce_keybinding(key) for key in TOOL_KEYS.values()}
    assert not tools & set(own)
    assert len(own) == len(set(own)) >= 9
    assert not taken & set(own)


def test_keys_do_what_they_say_and_are_given_back(desk):
    press(desk.viewer, "Shift-C")
    assert desk.controller.canvas is not None
    desk.paint()
    press(desk.viewer, "Shift-G")
    desk.wait_proposal()
    press(desk.viewer, "Shift-K")
    desk.wait_idle()
    assert len(desk.session.edits.edits) == 1
    press(desk.viewer, "Shift-U")
    desk.wait_idle()
    assert desk.session.edits.edits == []
    press(desk.viewer, "Shift-Y")
    desk.wait_idle()
    assert len(desk.session.edits.edits) == 1
    desk.controller.close()
    assert not {coerce_keybinding(key) for key in OURS} & set(desk.viewer.keymap)


def test_the_key_that_generates_also_cancels(desk):
    desk.hold()
    press(desk.viewer, "Shift-G")
    desk.wait_idle()
    assert desk.controller.proposal is None


def test_a_key_that_cannot_be_used_says_why(desk):
    press(desk.viewer, "Shift-E")
    assert "no accepted edit" in notification_manager.records[-1].message


def test_the_help_lists_every_key(desk, qtbot):
    window = desk.widget.show_keys()
    qtbot.addWidget(window)
    assert isinstance(window, KeyHelp)
    words = {label.text() for label in window.findChildren(type(window.children()[1]))}
    assert {key.replace("-", "+") for key in (*OURS, *FINDING)} <= words
    listed = actions.keys()
    tools = [coerce_keybinding(key.replace("+", "-")) for key in listed]
    assert {coerce_keybinding(key) for key in TOOL_KEYS.values()} <= set(tools)
    assert len(tools) == len(set(tools))


def test_commands_are_in_the_menus_and_act_on_their_own_viewer(
    make_napari_viewer, slide_path, network, monkeypatch
):
    from npe2 import PluginManager

    from napari_histoaug import __file__ as package

    manifest = PluginManifest.from_file(package.replace("__init__.py", "napari.yaml"))
    manager = PluginManager.instance()
    if manifest.name not in manager:
        manager.register(manifest)
    first, second = make_napari_viewer(), make_napari_viewer()
    for viewer in (first, second):
        arrays, settings, _ = slide_layer(slide_path)
        viewer.add_image(arrays, **settings)
    offered = {item.command for item in manifest.contributions.menus["histoaug_steps"]}
    known = {name for name, _ in get_app_model().commands}
    assert offered <= known
    for name in (*actions.ACTIONS, *compare_actions.ACTIONS):
        assert f"napari-histoaug.{name}" in known
    commands.paint_here(second)
    panels = [commands.panel_of(viewer) for viewer in (first, second)]
    assert panels[0] is not panels[1]
    assert panels[0].controller.canvas is None
    assert panels[1].controller.canvas is not None
    for panel in panels:
        panel.controller.close()


def test_no_control_is_cut_off_at_the_side(window_desk, qtbot):
    widget = window_desk.widget
    widget.window().show()
    for way in WAYS:
        widget.controller.exporting.choose(way)
        qtbot.waitUntil(lambda: widget.widget().width() <= widget.viewport().width(), timeout=5000)
    for control in widget.findChildren(QWidget):
        if control.isVisible() and widget.widget().isAncestorOf(control):
            right = control.mapTo(widget.widget(), control.rect().topRight()).x()
            assert right <= widget.viewport().width(), control


@pytest.fixture
def second_slide(desk, make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(900, 1100), (450, 550)], name="case 8.tif", seed=5)
    arrays, settings, _ = slide_layer(made.path)
    return desk.viewer.add_image(arrays, **settings)


def test_layers_are_called_after_their_slide_and_may_be_renamed(desk, second_slide):
    first = next(layer for layer in desk.controller.slide_layers if layer is not second_slide)
    assert (first.name, second_slide.name) == ("case 7", "case 8")
    desk.viewer.layers.selection.active = first
    desk.look_at(350, 450)
    canvas = desk.paint_here()
    assert canvas.layer.name.startswith("case 7")
    canvas.layer.name, first.name = "anything", "my slide"
    desk.paint()
    desk.run()
    desk.wait_proposal()
    desk.accept()
    assert len(desk.session.edits.edits) == 1
    assert second_slide.metadata["napari-histoaug"].session.edits.edits == []


def test_a_removed_slide_takes_its_proposal_along_and_the_other_is_worked_on(desk, second_slide):
    first = next(layer for layer in desk.controller.slide_layers if layer is not second_slide)
    desk.viewer.layers.selection.active = first
    desk.look_at(350, 450)
    desk.propose()
    desk.viewer.layers.remove(first)
    assert desk.controller.proposal is None
    assert desk.controller.slide_layer is second_slide


def test_one_comes_back_to_the_view_that_was_left(desk, qtbot, network):
    desk.look_at(612, 833, zoom=3.5)
    assert desk.widget.slide_panel.back_button.isHidden()
    desk.controller.close()
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(desk.path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    assert not widget.slide_panel.back_button.isHidden()
    widget.slide_panel.back_button.click()
    np.testing.assert_allclose(viewer.camera.center[-2:], desk.viewer.camera.center[-2:])
    assert viewer.camera.zoom == pytest.approx(desk.viewer.camera.zoom)
    widget.controller.close()
    text = whereabouts._path().read_text()
    assert "case" not in text
    assert desk.session.slide.slide_id() in text


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1, 2, "x"]}', "{"])
def test_a_spoilt_list_of_views_is_no_list(desk, text):
    path = whereabouts._path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert whereabouts.remembered(desk.session) is None
