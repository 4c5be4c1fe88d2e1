"""The tools of the panel *Paint*, at work on slides with tissue and glass."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from scipy import ndimage

from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.widget import HistoaugWidget

GLASS_FROM = 1100
"""Column from which the slide is glass."""
LUMEN = np.s_[300:360, 500:560]
"""A red field in the tissue."""


@pytest.fixture
def tissue_desk(qtbot, tmp_path, network, desk_class):
    """A slide that is pink tissue on the left, with a red spot in it, and glass on the right."""
    random = np.random.default_rng(0)
    image = np.full((1400, 1800, 3), (225, 150, 190), np.uint8)
    image[LUMEN] = (170, 30, 50)
    image[:, GLASS_FROM:] = 246
    image = np.clip(image + random.integers(-4, 5, image.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "tissue.tif"
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 2, 4):
            writer.write(
                image[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(step > 1),
                resolution=(2e4, 2e4),
                resolutionunit="CENTIMETER",
            )
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    desk = desk_class(qtbot, viewer, widget, path, network)
    desk.look_at(500, 800, zoom=2.0)
    yield desk
    widget.controller.close()


def take(desk, tool):
    desk.click(desk.widget.paint_panel.tools.buttons[tool])
    return desk.controller.canvas


def drag(desk, *places):
    """Press at the first level-0 place, move through the others, let go at the last."""
    layer = desk.controller.canvas.layer
    scale = desk.session.scale

    def event(kind, place):
        at = (place[0] * scale[0], place[1] * scale[1])
        found = SimpleNamespace(type=kind, position=at, button=1, is_dragging=True)
        return ReadOnlyWrapper(found, exceptions=("handled",))

    mouse_press_callbacks(layer, event("mouse_press", places[0]))
    for place in places[1:]:
        mouse_move_callbacks(layer, event("mouse_move", place))
    mouse_release_callbacks(layer, event("mouse_release", places[-1]))
    desk.qtbot.wait(20)


def painted(desk):
    """All that is painted, as the store has it."""
    return desk.controller.painting.visit.store.read(0, (0, 0, *desk.session.shape))


def test_a_tool_starts_the_canvas_and_is_shown_as_held(tissue_desk):
    buttons = tissue_desk.widget.paint_panel.tools.buttons
    assert not any(button.isChecked() for button in buttons.values())
    canvas = take(tissue_desk, "eraser")
    assert canvas.layer.mode == "erase"
    assert tissue_desk.viewer.layers.selection.active is canvas.layer
    assert [tool for tool, button in buttons.items() if button.isChecked()] == ["eraser"]
    # napari's own controls change it too
    canvas.layer.mode = "fill"
    assert [tool for tool, button in buttons.items() if button.isChecked()] == ["fill"]
    take(tissue_desk, "lasso")
    assert canvas.layer.mode == "pan_zoom"
    assert not canvas.layer.mouse_pan
    canvas.layer.mode = "polygon"
    assert canvas.layer.mode == "polygon"
    assert [tool for tool, button in buttons.items() if button.isChecked()] == ["polygon"]


def test_the_lasso_fills_what_it_goes_around_in_one_stroke(tissue_desk):
    take(tissue_desk, "lasso")
    drag(tissue_desk, (400, 600), (400, 700), (460, 700), (460, 600))
    found = painted(tissue_desk)
    assert found[405:455, 605:695].all()
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (400, 460, 600, 700)
    tissue_desk.click(tissue_desk.widget.paint_panel.undo_button)
    assert not painted(tissue_desk).any()
    # a click without a movement paints nothing
    drag(tissue_desk, (400, 600))
    assert not painted(tissue_desk).any()


def test_the_wand_paints_the_like_coloured_region(tissue_desk):
    take(tissue_desk, "wand")
    drag(tissue_desk, (330, 530))
    expected = np.zeros(tissue_desk.session.shape, bool)
    expected[LUMEN] = True
    found = painted(tissue_desk) > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.85


def test_a_vessel_is_stamped_at_its_real_size(tissue_desk):
    panel = tissue_desk.widget.paint_panel
    take(tissue_desk, "vessel")
    box = panel.options.shape_box
    assert panel.options.shape_box.isVisibleTo(panel)
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.count() - 1)
    shape_index = box.itemData(box.count() - 1)
    from napari_histoaug.masks.stamps import vessel_shapes

    area = np.pi / 4 * vessel_shapes()[shape_index].diameter ** 2
    panel.options.factor_slider.setValue(0.5)
    drag(tissue_desk, (600, 600))
    found = painted(tissue_desk)
    assert found.sum() == pytest.approx(area / 4 / 0.5**2, rel=0.05)
    centre = ndimage.center_of_mass(found)
    np.testing.assert_allclose(centre, (600, 600), atol=3)


def test_parts_of_a_vessel_can_be_stamped_alone(tissue_desk):
    panel = tissue_desk.widget.paint_panel
    take(tissue_desk, "vessel")
    panel.options.part_box.setCurrentIndex(1)
    panel.options.part_box.activated.emit(1)
    assert tissue_desk.controller.painting.toolbox.settings.part == "wall"
    drag(tissue_desk, (600, 600))
    found = painted(tissue_desk) > 0
    assert found.any()
    assert (ndimage.binary_fill_holes(found) & ~found).any()


def test_a_vessel_on_the_glass_moves_onto_the_tissue_with_a_warning(tissue_desk):
    take(tissue_desk, "vessel")
    tissue_desk.controller.painting.toolbox.settings.shape = "medium"
    drag(tissue_desk, (600, GLASS_FROM + 60))
    found = painted(tissue_desk)
    assert found.any()
    assert not found[:, GLASS_FROM + 20 :].any()
    assert "moved onto the tissue" in tissue_desk.controller.sentence


def test_strokes_keep_to_the_tissue_unless_told_otherwise(tissue_desk):
    take(tissue_desk, "lasso")
    loop = [(400, 1000), (400, 1165), (460, 1165), (460, 1000)]
    drag(tissue_desk, *loop)
    found = painted(tissue_desk)
    assert found[410:450, 1010:1090].all()
    assert not found[:, GLASS_FROM + 40 :].any()
    assert "glass was left out" in tissue_desk.controller.sentence
    # what is shown is what is kept
    canvas = tissue_desk.controller.canvas
    y, x, height, width = canvas.box
    np.testing.assert_array_equal(canvas.layer.data, found[y : y + height, x : x + width])
    tissue_desk.widget.paint_panel.tissue_box.setChecked(False)
    drag(tissue_desk, *loop)
    assert painted(tissue_desk)[410:450, 1010:1160].all()


def test_sizes_are_set_by_the_slider_of_the_tool_in_the_hand(tissue_desk):
    slider = tissue_desk.widget.paint_panel.options.size_slider
    layer = take(tissue_desk, "brush").layer
    slider.setValue(40)
    assert layer.brush_size == 40  # one screen pixel is one canvas pixel here
    take(tissue_desk, "eraser")
    assert slider.value() == 36
    slider.setValue(60)
    take(tissue_desk, "brush")
    assert (slider.value(), layer.brush_size) == (40, 40)
    layer.brush_size = 12
    assert slider.value() == 12


def test_without_following_the_canvas_stays(tissue_desk):
    box = take(tissue_desk, "brush").box
    tissue_desk.widget.paint_panel.follow_box.setChecked(False)
    tissue_desk.look_at(1000, 300)
    tissue_desk.qtbot.wait(400)
    assert tissue_desk.controller.canvas.box == box
