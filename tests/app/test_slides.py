"""Several slides in one viewer, damaged ones, and what the Slide panel says of them."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_histoaug.gui.panels.slide import WATCH_MILLISECONDS
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.session import session_of

VALUE = 1


def open_second(desk, make_pyramid_tiff):
    path = make_pyramid_tiff(shapes=[(900, 1200), (450, 600)], name="second.tif", seed=1).path
    arrays, settings, _ = slide_layer(path)
    return desk.viewer.add_image(arrays, **settings)


def test_a_second_slide_lies_beside_the_first(desk, make_pyramid_tiff):
    first = desk.controller.slide_layer
    second = open_second(desk, make_pyramid_tiff)
    left, right = first.extent.world, second.extent.world
    assert right[0, 1] > left[1, 1]
    np.testing.assert_allclose(right[0, 0], left[0, 0])
    np.testing.assert_allclose(first.translate, (0, 0))


def test_a_copy_of_the_layer_stays_where_it_is(desk):
    layer = desk.controller.slide_layer
    data, settings, kind = layer.as_layer_data_tuple()
    copy = desk.viewer._add_layer_from_data(data, settings, kind)[0]
    assert session_of(copy) is desk.session
    np.testing.assert_allclose(copy.translate, layer.translate)


def test_painting_on_the_slide_that_was_moved_fills_the_right_pixels(desk, make_pyramid_tiff):
    second = open_second(desk, make_pyramid_tiff)
    desk.viewer.layers.selection.active = second
    assert desk.controller.slide_layer is second
    before = desk.shown(0).copy()
    centre = second.data_to_world((300, 500))
    desk.viewer.camera.center, desk.viewer.camera.zoom = centre, 2.0
    canvas = desk.paint_here()
    for index in [(0, 0), (11, 40)]:
        at = second.world_to_data(canvas.layer.data_to_world(index))
        np.testing.assert_allclose(at, np.add(canvas.box[:2], index), atol=1e-6)
    rows, columns = np.mgrid[290:310, 480:520].reshape(2, -1)
    canvas.layer.data_setitem((rows - canvas.box[0], columns - canvas.box[1]), VALUE)
    desk.run()
    (part,) = desk.wait_proposal()
    (proposed,) = desk.controller.proposal.layers
    at = second.world_to_data(proposed.data_to_world((0, 0)))
    np.testing.assert_allclose(at, part.box[:2], atol=1e-6)
    desk.accept()
    changed = np.argwhere(np.any(desk.shown(0) != before, axis=-1))
    np.testing.assert_array_equal(changed.min(axis=0), (290, 480))
    np.testing.assert_array_equal(changed.max(axis=0), (309, 519))


def test_outlines_lie_on_the_slide_that_was_moved(desk, make_pyramid_tiff):
    second = open_second(desk, make_pyramid_tiff)
    desk.viewer.layers.selection.active = second
    desk.controller.draw_outlines()
    layer = desk.controller.painting.outlines_of(second)
    np.testing.assert_allclose(layer.data_to_world((10, 20)), second.data_to_world((10, 20)))


def test_the_scale_bar_is_shown_in_the_slide_s_units(desk):
    assert desk.viewer.canvas.overlays.scale_bar.visible
    assert {str(unit) for unit in desk.viewer.layers.extent.units} == {"micrometer"}


def test_damage_is_said_as_soon_as_it_is_met(qtbot, network, make_pyramid_tiff):
    from napari_histoaug.gui.widget import HistoaugWidget

    made = make_pyramid_tiff(shapes=[(700, 900), (350, 450)], name="hurt.tif", tile=128)
    hurt(made.path)
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(made.path)
    layer = viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    panel = widget.slide_panel
    assert not panel.warning.isVisibleTo(panel)
    np.asarray(layer.data[0])
    qtbot.waitUntil(lambda: "damaged" in panel.warning.text(), timeout=20 * WATCH_MILLISECONDS)
    assert panel.warning.isVisibleTo(panel)
    assert "level 0, row" in panel.warning.toolTip()
    widget.controller.close()


def test_how_the_slide_is_read_is_said_when_it_is_not_as_usual(desk):
    panel = desk.widget.slide_panel
    desk.session.slide.notes = ("OpenSlide reads this slide, more slowly.",)
    panel.refresh()
    assert panel.warning.text() == "OpenSlide reads this slide, more slowly."
    assert panel.warning.isVisibleTo(panel)


def hurt(path):
    """Overwrite the beginning of one level-0 tile."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        offset = page.dataoffsets[len(page.dataoffsets) // 2]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x00" * 32)


def test_a_slide_with_a_single_level_can_be_painted_on_and_annotated(
    desk, make_pyramid_tiff, tmp_path
):
    """napari takes a list of one lazy array for the array itself and reads it without end."""
    path = make_pyramid_tiff(shapes=[(230, 250)], name="small.tif").path
    arrays, settings, _ = slide_layer(path)
    layer = desk.viewer.add_image(arrays, **settings)
    desk.viewer.layers.selection.active = layer
    y, x = (float(side) for side in layer.translate)
    desk.viewer.camera.center = (y + 57, x + 62)
    desk.paint_here()
    painted = next(one for one in desk.viewer.layers if one.name == "small painted")
    assert [level.shape for level in painted.data] == [(230, 250), (115, 125)]
    desk.annotate(tmp_path, [(100, 100, 50, 60)], "blood_vessel")
    outlined = desk.viewer.layers[-1]
    assert np.asarray(outlined.data[0]).sum() == 50 * 60
    assert np.asarray(outlined.data[1]).sum() == 25 * 30
