"""Painting anywhere, at any zoom: the canvas follows the view, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.masks.store import MaskStore

LONG = 20_000


def stored(desk):
    """All that is painted, at level 0, as a new reader finds it on the disk."""
    desk.qtbot.wait(10)  # napari tells of some strokes before it has painted them
    store = MaskStore(
        desk.session.edits.folder / "painted.zarr",
        desk.session.shape,
        desk.controller.classes.names,
    )
    return store.read(0, (0, 0, *desk.session.shape))


def go(desk, y, x, zoom=2.0):
    """Move the view and wait until the canvas has come along."""
    before = desk.controller.canvas.box
    desk.look_at(y, x, zoom)
    desk.qtbot.waitUntil(lambda: desk.controller.canvas.box != before, timeout=LONG)


def test_every_stroke_is_on_the_disk_when_it_ends(desk):
    desk.paint_here()
    desk.paint(y=350, x=450)
    first = stored(desk)
    assert first[350, 450:490].all()
    # the whole canvas is what the store holds
    y, x, height, width = desk.controller.canvas.box
    pixels = desk.controller.canvas.layer.data
    np.testing.assert_array_equal(first[y : y + height, x : x + width], pixels)


def test_the_canvas_follows_the_view_and_strokes_stay_where_they_are(desk):
    desk.paint_here()
    desk.paint(y=350, x=450)
    layer = desk.controller.canvas.layer
    go(desk, 1100, 1400)
    assert desk.controller.canvas.layer is layer
    assert not layer.data.any()
    desk.paint(y=1100, x=1400)
    both = stored(desk)
    assert both[350, 470]
    assert both[1100, 1420]
    # at a coarse zoom both are on one canvas, in its coarser pixels
    desk.controller.painting.limit = 512
    go(desk, 700, 900, zoom=0.5)
    assert desk.controller.canvas.window.level > 0
    step = int(desk.controller.canvas.downsample[0])
    y, x = desk.controller.canvas.window.box[:2]
    assert layer.data[350 // step - y, 470 // step - x]
    assert layer.data[1100 // step - y, 1420 // step - x]
    np.testing.assert_array_equal(stored(desk), both)


def test_a_small_pan_leaves_the_canvas_in_place(desk):
    desk.paint_here()
    box = desk.controller.canvas.box
    desk.look_at(355, 455)
    desk.qtbot.wait(400)
    assert desk.controller.canvas.box == box


def test_a_coarse_stroke_keeps_finer_detail_beside_it(desk):
    desk.paint_here()
    desk.controller.canvas.layer.data_setitem((np.array([5]), np.array([7])), 1)
    fine = stored(desk)
    assert fine.sum() == 1
    desk.controller.painting.limit = 256
    go(desk, 700, 900, zoom=0.4)
    desk.controller.canvas.layer.data_setitem((np.array([100]), np.array([120])), 1)
    step = int(desk.controller.canvas.downsample[0])
    assert stored(desk).sum() == 1 + step**2


def test_undo_reaches_strokes_of_earlier_views_and_redo_brings_them_back(desk):
    desk.paint_here()
    desk.paint(y=350, x=450)
    one = stored(desk)
    go(desk, 1100, 1400)
    desk.paint(y=1100, x=1400)
    two = stored(desk)
    layer = desk.controller.canvas.layer
    desk.click(desk.widget.paint_panel.undo_button)
    np.testing.assert_array_equal(stored(desk), one)
    assert not layer.data.any()
    desk.click(desk.widget.paint_panel.undo_button)
    assert not stored(desk).any()
    assert "outside of the view" in desk.viewer.status
    assert not desk.widget.paint_panel.undo_button.isEnabled()
    assert "No stroke" in desk.widget.paint_panel.undo_button.toolTip()
    for expected in (one, two):
        desk.click(desk.widget.paint_panel.redo_button)
        np.testing.assert_array_equal(stored(desk), expected)
    assert layer.data.any()


def test_a_stroke_under_way_is_not_torn_away(desk):
    desk.paint_here()
    layer = desk.controller.canvas.layer
    box = desk.controller.canvas.box
    with layer.block_history():
        layer.paint((20, 20), 1)
        desk.look_at(1100, 1400)
        desk.qtbot.wait(500)
        assert desk.controller.canvas.box == box
    desk.qtbot.waitUntil(lambda: desk.controller.canvas.box != box, timeout=LONG)
    assert stored(desk)[box[0] + 20, box[1] + 20]


def test_what_is_painted_beyond_the_canvas_is_shown_once(desk):
    desk.paint_here()
    desk.paint(y=350, x=450)
    (painted,) = [layer for layer in desk.viewer.layers if layer.name.endswith("painted")]
    assert not painted.editable
    # the canvas shows it here
    assert not np.asarray(painted.data[0]).any()
    go(desk, 1100, 1400)
    for level, array in enumerate(painted.data):
        assert np.asarray(array)[350 >> level, 470 >> level] == 1
    assert painted.data[0].shape[0] == painted.data[1].shape[0] * 2
    # the layer lies exactly on the slide
    slide = desk.controller.slide_layer
    np.testing.assert_allclose(slide.world_to_data(painted.data_to_world((350, 470))), (350, 470))
    order = [layer.name for layer in desk.viewer.layers]
    assert order.index(painted.name) < order.index(desk.controller.canvas.layer.name)


def test_strokes_are_there_again_when_the_slide_is_opened_again(desk, qtbot, network):
    desk.paint_here()
    desk.paint(y=350, x=450)
    expected = stored(desk)
    desk.widget.controller.close()
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(desk.path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=LONG)
    shown = np.asarray(viewer.layers[1].data[0])
    np.testing.assert_array_equal(shown[: expected.shape[0], : expected.shape[1]], expected)
    # and can be filled without a canvas
    qtbot.mouseClick(widget.generate_panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.controller.proposal is not None, timeout=LONG)
    widget.controller.close()


def test_taking_the_canvas_out_of_the_layer_list_keeps_its_strokes(desk):
    desk.paint_here()
    desk.paint(y=350, x=450)
    expected = stored(desk)
    desk.viewer.layers.remove(desk.controller.canvas.layer)
    assert desk.controller.canvas is None
    (painted,) = [layer for layer in desk.viewer.layers if layer.name.endswith("painted")]
    assert np.asarray(painted.data[0]).any()
    desk.paint_here()
    np.testing.assert_array_equal(stored(desk), expected)
    assert desk.controller.canvas.layer.data.any()


def test_brush_and_eraser_have_sizes_of_their_own_that_stay_on_the_screen(desk):
    desk.paint_here()
    layer = desk.controller.canvas.layer
    zoom, step = desk.viewer.camera.zoom, float(layer.scale[0])
    assert layer.brush_size == round(24 / zoom / step)
    layer.mode = "erase"
    assert layer.brush_size == round(36 / zoom / step)
    layer.brush_size = 10  # by napari's own control
    layer.mode = "paint"
    assert layer.brush_size == round(24 / zoom / step)
    layer.mode = "erase"
    assert layer.brush_size == 10
    desk.look_at(350, 450, zoom=4.0)
    assert layer.brush_size == 5
    # and on the tissue, when that is wished
    desk.controller.painting.set_brush_on_screen(False)
    desk.look_at(350, 450, zoom=2.0)
    assert layer.brush_size == 5


def test_strokes_that_cannot_be_saved_are_told_and_stay(desk, monkeypatch):
    desk.paint_here()
    store = desk.controller.painting.visit.store

    def full(chunk, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._files, "put", full)
    desk.paint(y=350, x=450)
    assert "No space left" in desk.controller.sentence
    monkeypatch.undo()
    desk.paint(y=360, x=450)
    assert stored(desk)[350, 470]
