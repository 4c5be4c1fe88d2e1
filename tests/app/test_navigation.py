"""Panning and zooming in a real window, with and without napari's asynchronous slicing."""

from __future__ import annotations

import numpy as np
import pytest
from napari.settings import get_settings
from napari.utils.notifications import notification_manager

from napari_histoaug.gui.reader import slide_layer

STEPS, LONG = 20, 20_000
SHAPES = [(3000, 4000), (1500, 2000), (750, 1000)]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def slicing(request):
    """NAPARI_ASYNC off and on, by the setting that the variable stands for."""
    experimental = get_settings().experimental
    before = experimental.async_
    experimental.async_ = request.param
    yield request.param
    experimental.async_ = before


def stored_levels(made, shapes=SHAPES):
    assert [level.shape[:2] for level in made.levels] == shapes
    return made.levels


def shown(layer):
    """What the layer shows: the level, its top left pixel there, and the pixels."""
    view = layer._slice
    offset = np.round(np.asarray(view.tile_to_data.translate)[-2:])
    scale = np.asarray(view.tile_to_data.scale)[-2:]
    factors = np.asarray(layer.downsample_factors)[:, :2]
    level = int(np.argmin(np.abs(factors - scale).sum(axis=1)))
    return level, np.round(offset / scale).astype(int), np.asarray(view.image.raw)


def is_settled(layer, levels, centre):
    """Whether the pixels at the centre of the view are shown, from the level that is due."""
    level, (top, left), pixels = shown(layer)
    height, width = pixels.shape[:2]
    y, x = centre / np.asarray(layer.downsample_factors)[level, :2]
    return (
        layer.loaded
        and level == layer.data_level
        and top <= y <= top + height
        and left <= x <= left + width
    )


def walk(viewer, layer, qtbot, levels):
    """Twenty places and zooms; what is shown at each is the stored pixels of its level."""
    random, seen = np.random.default_rng(3), set()
    full = np.array(levels[0].shape[:2])
    for step in range(STEPS):
        centre = random.uniform(0.1, 0.9, 2) * full
        viewer.camera.center = tuple(centre * layer.scale)
        viewer.camera.zoom = (0.15, 0.5, 1.4, 4)[step % 4] / layer.scale[0]
        qtbot.wait(20)
        qtbot.waitUntil(lambda at=centre: is_settled(layer, levels, at), timeout=LONG)
        level, (top, left), pixels = shown(layer)
        seen.add(level)
        height, width = pixels.shape[:2]
        expected = levels[level][top : top + height, left : left + width]
        np.testing.assert_array_equal(pixels, expected)
    return seen


def test_what_is_shown_is_what_is_stored(slicing, make_napari_viewer, qtbot, make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=SHAPES, tile=256)
    viewer = make_napari_viewer(show=True)
    notification_manager.records.clear()
    arrays, settings, _ = slide_layer(made.path)
    layer = viewer.add_image(arrays, **settings)
    qtbot.waitUntil(lambda: layer.thumbnail[..., :3].std() > 5, timeout=LONG)
    seen = walk(viewer, layer, qtbot, stored_levels(made))
    assert seen == {0, 1, 2}
    assert layer.thumbnail[..., :3].std() > 5
    assert (layer.thumbnail[..., 3] > 0).any()
    assert [r.message for r in notification_manager.records if str(r.severity) == "error"] == []


def test_a_real_slide_is_shown_as_stored(slicing, make_napari_viewer, qtbot, shared_data):
    import tifffile

    path = shared_data / "wsi" / "liver-hemangioma_8192_pyramid.tif"
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if page.is_tiled]
        by_shape = {page.shape: page.asarray() for page in pages}
    viewer = make_napari_viewer(show=True)
    notification_manager.records.clear()
    arrays, settings, _ = slide_layer(path)
    layer = viewer.add_image(arrays, **settings)
    levels = [by_shape.get(array.shape, array) for array in arrays]
    assert sum(isinstance(level, np.ndarray) for level in levels) >= 2
    qtbot.waitUntil(lambda: layer.thumbnail[..., :3].std() > 5, timeout=LONG)
    seen = walk(viewer, layer, qtbot, levels)
    assert len(seen) >= 3
    assert [r.message for r in notification_manager.records if str(r.severity) == "error"] == []
