"""A slide without coarse levels: shown roughly, its overview built on request."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel

from napari_histoaug.errors import Cancelled
from napari_histoaug.gui.overview import megabytes
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.rough import GREY, RoughLevel, RoughPicture
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.slides import Slide, open_slide
from napari_histoaug.slides.pyramid import open_pyramid
from napari_histoaug.slides.sidecar import build_sidecar

SHAPE = (3000, 2304)
LIMIT = 1_300_000


@pytest.fixture(autouse=True)
def small_limits(monkeypatch, tmp_path):
    """Make small files behave like large ones, and keep the sidecars to this test."""
    for module in ("plan", "sidecar_place"):
        monkeypatch.setattr(f"napari_histoaug.slides.{module}.MOST_DECODED", LIMIT)
    cache = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(cache / name))


@pytest.fixture
def flat_path(tmp_path):
    return striped(tmp_path / "flat.tif")


def striped(path, rows=16):
    """One level in strips: a ramp in each direction, so that every place has its own colour."""
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[..., 0] = np.linspace(20, 230, SHAPE[0])[:, None]
    image[..., 1] = np.linspace(20, 230, SHAPE[1])
    tifffile.imwrite(
        path, image, photometric="rgb", rowsperstrip=rows, compression="deflate", metadata=None
    )
    return path


class Reads:
    """Counts the pixels that are read from slides."""

    def __init__(self, monkeypatch):
        self.pixels = 0
        real = Slide.read_block

        def counted(slide, level, y, x, height, width):
            self.pixels += height * width
            return real(slide, level, y, x, height, width)

        monkeypatch.setattr(Slide, "read_block", counted)


@pytest.fixture
def flat(qtbot, flat_path, network):
    """The panels over a viewer that shows a slide without coarse levels."""
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(flat_path)
    layer = viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    yield layer, widget
    widget.controller.close()


def test_opening_reads_a_sample_only(monkeypatch, flat_path):
    monkeypatch.setattr(RoughPicture.__init__, "__defaults__", (200_000,))
    reads = Reads(monkeypatch)
    arrays, settings, _ = slide_layer(flat_path)
    layer = ViewerModel().add_image(arrays, **settings)
    assert 0 < reads.pixels <= 200_000
    assert layer.thumbnail[..., :3].std() > 10
    kinds = [type(level) for level in layer.data]
    assert kinds[0] is zarr.Array
    assert kinds[-1] is RoughLevel


# 4 strips, 16 strips, all: half a cell of a ramp over 210 values, and a bit
@pytest.mark.parametrize(("most", "off"), [(150_000, 37), (600_000, 11), (10**8, 2)])
def test_the_rough_picture_is_near_the_true_one(flat_path, most, off):
    with open_slide(flat_path) as slide:
        picture = RoughPicture(slide, most)
        true = open_pyramid(slide).arrays[-1]
        level = RoughLevel(picture, true.shape[:2], (1.0, 1.0))
        error = np.abs(np.asarray(level).astype(int) - np.asarray(true))
    assert error.max() <= off


def test_a_part_of_a_rough_level_is_the_part_of_its_whole(flat_path):
    with open_slide(flat_path) as slide:
        level = RoughLevel(RoughPicture(slide, 300_000), (750, 576), (4.0, 4.0))
        whole = np.asarray(level)
        assert whole.shape == level.shape == (750, 576, 3)
        assert whole.size == level.size
        np.testing.assert_array_equal(level[100:300, 50:90], whole[100:300, 50:90])
        np.testing.assert_array_equal(level[5:9], whole[5:9])
        np.testing.assert_array_equal(level[700:900, 500:], whole[700:, 500:])


def test_a_file_in_one_piece_is_grey_and_not_read(monkeypatch, tmp_path):
    path = striped(tmp_path / "piece.tif", rows=SHAPE[0])
    reads = Reads(monkeypatch)
    with open_slide(path) as slide:
        level = RoughLevel(RoughPicture(slide, 10**6), (30, 20), (100.0, 100.0))
        assert (np.asarray(level) == GREY).all()
    assert reads.pixels == 0


def test_the_panel_offers_builds_and_shows_the_overview(flat, qtbot, desk_class, flat_path):
    layer, widget = flat
    panel, desk = widget.slide_panel, desk_class(qtbot, None, widget, flat_path, None)
    assert "no coarse levels" in panel.overview_note.text()
    assert panel.overview_note.isVisibleTo(panel)
    tip = panel.overview_button.toolTip()
    assert "pyramids" in tip
    assert megabytes(15 * 512 * 512 * 3)[-2:] in tip
    told = []
    desk.controller.progressed.connect(lambda news: told.append(getattr(news, "text", news)))
    desk.click(panel.overview_button)
    assert panel.overview_button.text() == "Cancel"
    assert not widget.generate_panel.progress_bar.isVisibleTo(widget.generate_panel)
    desk.wait_idle()
    assert desk.controller.sentence == ""
    assert any(text.startswith("tile ") and text.endswith(" left") for text in told)
    assert not panel.overview_button.isVisibleTo(panel)
    assert not panel.overview_note.isVisibleTo(panel)
    assert all(isinstance(level, zarr.Array) for level in layer.data)
    with open_slide(flat_path) as slide:
        for shown, true in zip(layer.data, open_pyramid(slide).arrays, strict=True):
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(true))
    # the level that napari keeps in memory is the new one
    np.testing.assert_array_equal(layer._slice.thumbnail.raw, np.asarray(layer.data[-1]))
    # and it is there at the next opening
    assert not session_of(layer).rough
    again, _, _ = slide_layer(flat_path)
    assert all(isinstance(level, zarr.Array) for level in again)


def test_cancel_leaves_nothing_and_it_can_be_built_again(
    flat, qtbot, desk_class, flat_path, tmp_path, monkeypatch
):
    _, widget = flat
    desk = desk_class(qtbot, None, widget, flat_path, None)
    panel = widget.slide_panel

    def patient(slide, progress, cancelled):
        progress(1, 100)
        for _ in range(4000):
            if cancelled():
                raise Cancelled("Stopped.")
            never.wait(0.005)
        raise AssertionError("never cancelled")

    never = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("napari_histoaug.slides.sidecar.build_sidecar", patient)
        desk.click(panel.overview_button)
        qtbot.waitUntil(lambda: panel.overview_note.text().startswith("tile 1/100"), timeout=20_000)
        assert "Busy" in widget.generate_panel.run_button.toolTip()
        desk.click(panel.overview_button)
        desk.wait_idle()
    assert panel.overview_button.text() == "Build overview"
    assert "no coarse levels" in panel.overview_note.text()
    assert session_of(widget.controller.slide_layer).rough
    desk.click(panel.overview_button)
    desk.wait_idle()
    assert not session_of(widget.controller.slide_layer).rough


def test_a_full_disk_is_a_sentence_and_the_offer_stays(
    flat, qtbot, desk_class, flat_path, monkeypatch
):
    _, widget = flat
    desk = desk_class(qtbot, None, widget, flat_path, None)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1))
    desk.click(widget.slide_panel.overview_button)
    desk.wait_idle()
    assert "free some space" in desk.controller.sentence
    assert widget.slide_panel.overview_button.isEnabled()
    assert session_of(desk.controller.slide_layer).rough


def test_closing_the_slide_while_it_is_built_shows_nothing(flat, qtbot, desk_class, flat_path):
    layer, widget = flat
    desk = desk_class(qtbot, None, widget, flat_path, None)
    desk.click(widget.slide_panel.overview_button)
    widget.controller.viewer.layers.remove(layer)
    desk.wait_idle()
    assert not widget.slide_panel.overview_button.isVisibleTo(widget.slide_panel)


def test_accepted_edits_are_seen_on_the_rough_picture(flat, qtbot, desk_class, flat_path, network):
    layer, widget = flat
    desk = desk_class(qtbot, widget.controller.viewer, widget, flat_path, network)
    desk.look_at(350, 450)
    before = np.asarray(layer.data[-1])
    part = desk.propose()
    desk.accept()
    after = np.asarray(layer.data[-1])
    step = layer.downsample_factors[-1][0]
    where = np.argwhere((after != before).any(axis=-1))
    y, x = np.argwhere(part.changed).min(axis=0) + part.box[:2]
    np.testing.assert_allclose(where.min(axis=0), (y / step, x / step), atol=1)


def test_a_slide_with_its_overview_shows_no_offer(desk, flat_path, qtbot, network):
    panel = desk.widget.slide_panel
    assert not panel.overview_button.isVisibleTo(panel)
    with open_slide(flat_path) as slide:
        build_sidecar(slide)
    arrays, _, _ = slide_layer(flat_path)
    assert not any(isinstance(level, RoughLevel) for level in arrays)
