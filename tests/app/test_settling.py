"""A large slide that was moved: it opens at once, and gets its edits and overview when found."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest

from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.slides import identity, open_slide
from napari_histoaug.slides.sidecar import build_sidecar

LONG = 20_000  # ms; never reached by a test that works
BOX = (100, 200, 80, 120)


class SlowHash:
    """Hashing that waits until the test opens the gate; notes which threads hash."""

    def __init__(self, monkeypatch):
        self.gate, self.threads = threading.Event(), set()
        real = identity.content_sha256

        def slow(path, cancelled=None):
            self.threads.add(threading.current_thread())
            assert self.gate.wait(LONG / 1000)
            return real(path, cancelled)

        monkeypatch.setattr(identity, "content_sha256", slow)


@pytest.fixture
def moved(make_pyramid_tiff, monkeypatch, tmp_path):
    """A slide without coarse levels and with an edit; both count as large and were moved."""
    for module in ("plan", "sidecar_place"):
        monkeypatch.setattr(f"napari_histoaug.slides.{module}.MOST_DECODED", 600_000)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    path = make_pyramid_tiff(shapes=[(1200, 1500)]).path
    with open_slide(path) as slide:
        build_sidecar(slide)
        record = EditRecord(
            slide_sha256=slide.sha256(), box=BOX, label="blood_vessel", method="pixel-time",
            steps=1, seed=0, mpp=slide.mpp,
        )  # fmt: skip
        image = np.full((*BOX[2:], 3), (10, 200, 30), np.uint8)
        EditStore.open(slide).accept(image, np.ones(BOX[2:], bool), record)
    monkeypatch.setattr(identity, "_LARGE", 1)
    place = tmp_path / "moved"
    place.mkdir()
    for one in (path, path.with_suffix(".histoaug")):
        shutil.move(one, place / one.name)
    return place / path.name


@pytest.fixture
def window(make_napari_viewer, moved, monkeypatch, network):
    """The slide in a window with the panels, still being hashed."""
    hashing = SlowHash(monkeypatch)
    viewer = make_napari_viewer()
    arrays, settings, _ = slide_layer(moved)
    layer = viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    viewer.window.add_dock_widget(widget, area="right")
    yield layer, widget, hashing
    hashing.gate.set()
    widget.controller.close()


def test_a_moved_large_slide_opens_at_once_and_gets_what_belongs_to_it(window, qtbot):
    layer, widget, hashing = window
    session = session_of(layer)
    y, x, height, width = BOX
    shown = np.asarray(layer.data[0][y : y + height, x : x + width])
    assert not (shown == (10, 200, 30)).all(axis=-1).any()
    assert session.rough
    assert "looking for earlier edits" in widget.slide_panel.facts.text()
    assert not widget.generate_panel.run_button.isEnabled()
    assert "still read" in widget.generate_panel.run_button.toolTip()

    hashing.gate.set()
    qtbot.waitUntil(lambda: session.settling is None, timeout=LONG)
    assert threading.main_thread() not in hashing.threads
    assert (np.asarray(layer.data[0][y : y + height, x : x + width]) == (10, 200, 30)).all()
    assert not session.rough
    assert "1 accepted edit" in widget.slide_panel.facts.text()
    assert widget.review_panel.undo_button.isEnabled()


def test_closing_the_panels_meanwhile_is_no_problem(window, qtbot):
    layer, widget, hashing = window
    session = session_of(layer)
    widget.controller.close()
    hashing.gate.set()
    qtbot.waitUntil(lambda: session.settling is None, timeout=LONG)
    assert len(session.edits.edits) == 1
