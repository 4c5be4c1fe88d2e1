"""Tissue and glass around a place, and the slide on a grid."""

from __future__ import annotations

import numpy as np

from napari_histoaug.gui.geometry import Window
from napari_histoaug.gui.ground import Ground
from napari_histoaug.gui.pixels import read_grid
from napari_histoaug.gui.session import open_session

LEFT = np.zeros((20, 30), bool)
LEFT[:, :10] = True
GROUND = Ground(LEFT, corner=(5, 7), step=16)


def test_the_nearest_place_is_the_place_itself_on_tissue():
    inside = ((5 + 10) * 16.0 + 3, (7 + 4) * 16.0 + 1)
    assert GROUND.nearest(inside, 30) == inside


def test_a_place_on_glass_moves_to_where_the_disc_fits():
    y, x = GROUND.nearest(((5 + 10) * 16.0, (7 + 15) * 16.0), 40)
    assert abs(y - (5 + 10) * 16) <= 8
    # 40 px are 2.5 cells, and one and a half for what a cell hides
    assert x == (7 + 6 + 0.5) * 16
    assert GROUND.nearest((200.0, 200.0), 2000) is None


def test_what_is_under_a_window_is_looked_up_by_pixel_centres():
    window = Window(1, (60, 100, 80, 80))  # pixels of two level-0 pixels
    under = GROUND.under(window, (slice(0, 40), slice(10, 60)))
    expected = (np.arange(10, 60) + 100.5) * 2 // 16 - 7 < 10
    np.testing.assert_array_equal(under, np.broadcast_to(expected, (40, 50)))


def test_a_grid_is_the_mean_of_the_slide_and_white_outside(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(700, 900)], compression="deflate")
    session = open_session(made.path)
    image, valid = read_grid(session, 4, (-2, 220, 5, 8))
    assert valid.sum() == 3 * 5
    assert (image[~valid] == 255).all()
    blocks = made.levels[0][:12, 880:900].reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(image[valid].reshape(3, 5, 3), blocks, atol=1.01)
    exact, _ = read_grid(session, 1, (100, 200, 30, 40))
    np.testing.assert_array_equal(exact, made.levels[0][100:130, 200:240])
