"""A desk to work at: a slide with known pixels, the real panels, a quick stand-in network."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from shapely.geometry import box, mapping

from napari_histoaug.errors import Cancelled
from napari_histoaug.gui import segmenters
from napari_histoaug.gui.annotation_reader import ask_frame, layer_data, load
from napari_histoaug.gui.compare_widget import FindAndCompareWidget
from napari_histoaug.gui.engine import Engine
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.widget import HistoaugWidget

LONG = 60_000  # ms; never reached by a test that works


@dataclass
class FakeNetwork:
    """Stands in for ``generation``: paints the hole in one colour, step by step.

    After ``wait_after`` steps it waits until the test opens the ``gate``, or it is cancelled.
    """

    steps: int = 4
    color: tuple[int, int, int] = (200, 30, 60)
    wait_after: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    loads: list[tuple[str | None, str]] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)
    evaluations: int = 0

    def load_generator(self, source: str | None, device: str) -> SimpleNamespace:
        self.loads.append((source, device))
        return SimpleNamespace(
            name="fake", sha256="f" * 64, mpp=(0.5, 0.5), classes=("blood_vessel",)
        )

    def inpaint(
        self,
        generator: Any,
        image: np.ndarray,
        hole: np.ndarray,
        label: str = "blood_vessel",
        mpp: tuple[float, float] | None = None,
        method: str = "pixel-time",
        steps: int | None = None,
        seed: int = 0,
        *,
        donor: Any = None,
        strength: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        preview: Callable[[np.ndarray], None] | None = None,
    ) -> SimpleNamespace:
        self.threads.append(threading.current_thread())
        self.calls.append({"image": image.copy(), "hole": hole.copy(), "seed": seed, "mpp": mpp})
        total = steps or self.steps
        out = image.copy()
        out[hole] = (np.array(self.color) + seed) % 256
        for done in range(total):
            if self.wait_after is not None and done >= self.wait_after:
                self._wait(cancelled)
            if cancelled is not None and cancelled():
                raise Cancelled("Cancelled.")
            self.evaluations += 1
            if progress is not None:
                progress(done + 1, total)
            if preview is not None:
                preview(out // 2 + image // 2)
        return SimpleNamespace(
            image=out,
            changed=hole.copy(),
            evaluations=total,
            method=method,
            steps=total,
            seed=seed,
            label=label,
            seconds=0.0,
            donor=None if donor is None else donor.id,
            strength=strength,
            notes=(),
        )

    def synthesize(
        self,
        generator: Any,
        label_mask: np.ndarray,
        mpp: tuple[float, float] | None,
        steps: int | None,
        seed: int,
        *,
        method: str,
        **told: Any,
    ) -> SimpleNamespace:
        self.maps.append(label_mask.copy())
        image = np.full((*label_mask.shape, 3), 90 + seed % 100, np.uint8)
        return SimpleNamespace(
            image=image, evaluations=1, steps=1, seed=seed, method=method, notes=()
        )

    @property
    def engine(self) -> Engine:
        """What the panels are given in place of the package's own."""
        engine = Engine.of(self.load_generator, self.inpaint)
        return dataclasses.replace(engine, synthesize=self.synthesize)

    def _wait(self, cancelled: Callable[[], bool] | None) -> None:
        for _ in range(4000):  # far longer than a test that works needs
            if self.gate.wait(0.005) or (cancelled is not None and cancelled()):
                return


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@dataclass
class Desk:
    """A viewer with an open slide and the docked widget."""

    qtbot: Any
    viewer: Any
    widget: HistoaugWidget
    path: Path
    network: Any

    @property
    def controller(self):
        return self.widget.controller

    @property
    def session(self) -> SlideSession:
        session = session_of(self.controller.slide_layer)
        assert session is not None
        return session

    def click(self, button) -> None:
        assert button.isEnabled(), button.toolTip()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait_idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.controller.busy, timeout=LONG)

    def look_at(self, y: float, x: float, zoom: float = 2.0) -> None:
        scale = self.session.scale
        self.viewer.camera.center = (y * scale[0], x * scale[1])
        self.viewer.camera.zoom = zoom

    def paint_here(self):
        self.click(self.widget.paint_panel.paint_button)
        return self.controller.canvas

    def paint(self, y: float = 350, x: float = 450) -> None:
        """A stroke of the brush across a level-0 place."""
        canvas = self.controller.canvas
        layer = canvas.layer
        layer.brush_size = 30
        with layer.block_history():
            for dx in range(0, 40, 5):
                at = (self.session.scale[0] * y, self.session.scale[1] * (x + dx))
                layer.paint(layer.world_to_data(at), layer.selected_label)

    def run(self) -> None:
        self.click(self.widget.generate_panel.run_button)

    def propose(self) -> Any:
        """Open a canvas, paint, inpaint; returns the finished part."""
        self.paint_here()
        self.paint()
        self.run()
        (part,) = self.wait_proposal()
        return part

    def wait_proposal(self) -> list[Any]:
        """Wait for the finished result; returns its parts."""
        self.qtbot.waitUntil(lambda: self.controller.proposal is not None, timeout=LONG)
        self.wait_idle()
        return self.controller.proposal.parts

    def hold(self) -> None:
        """Start generating and leave it waiting before its third evaluation."""
        self.network.steps, self.network.wait_after = 50, 2
        self.paint_here()
        self.paint()
        self.run()
        self.qtbot.waitUntil(lambda: self.network.evaluations == 2, timeout=LONG)

    def accept(self) -> None:
        self.click(self.widget.review_panel.accept_button)
        self.wait_idle()

    def annotate(self, folder: Path, boxes: list[tuple[int, int, int, int]], label: str) -> None:
        """Open rectangles (y, x, height, width) of one class onto the slide."""
        features = [
            {
                "type": "Feature",
                "geometry": mapping(box(x, y, x + width, y + height)),
                "properties": {"classification": {"name": label, "color": [200, 0, 0]}},
            }
            for y, x, height, width in boxes
        ]
        path = folder / "vessels.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        slide = self.controller.slide_layer
        data, settings, _ = layer_data(load(path, slide, ask_frame).view, slide)
        self.viewer.add_labels(data, **settings)

    def shown(self, level: int = 0) -> np.ndarray:
        """All pixels of a level, as the viewer's array gives them."""
        return np.asarray(self.controller.slide_layer.data[level])


@pytest.fixture
def slide_path(make_pyramid_tiff) -> Path:
    return make_pyramid_tiff(shapes=[(1400, 1800), (700, 900)], name="case 7.tif").path


@pytest.fixture
def desk(qtbot, slide_path, network):
    """The panels over napari's model of a viewer: everything but the window, and quick."""
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(slide_path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, engine=network.engine)
    qtbot.addWidget(widget)
    desk = Desk(qtbot, viewer, widget, slide_path, network)
    desk.look_at(350, 450)
    yield desk
    network.gate.set()
    widget.controller.close()


@pytest.fixture
def window_desk(make_napari_viewer, qtbot, slide_path, network):
    """The panels docked in a real napari window."""
    viewer = make_napari_viewer()
    arrays, settings, _ = slide_layer(slide_path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, engine=network.engine)
    viewer.window.add_dock_widget(widget, name="Inpaint vessel", area="right")
    desk = Desk(qtbot, viewer, widget, slide_path, network)
    desk.look_at(350, 450)
    yield desk
    network.gate.set()
    widget.controller.close()


@pytest.fixture
def desk_class() -> type[Desk]:
    return Desk


VESSELS = [(300, 420, 60, 80), (900, 1200, 50, 50), (100, 1500, 30, 40)]
"""Red rectangles (y, x, height, width) in lilac tissue; glass is on the right."""


class Redness:
    """Stands in for a segmenter: the redder, the more probably a vessel. Waits at a gate."""

    classes = ("blood_vessel",)
    mpp = (0.5, 0.5)
    sha256 = "a" * 64

    def __init__(self) -> None:
        from napari_histoaug.models.segmenter_folder import SegmenterIndex

        self.index = SegmenterIndex(
            name="redness", classes=self.classes, mpp=self.mpp, patch=128, thresholds=(0.5,)
        )
        self.windows = 0
        self.wait_after: int | None = None
        self.gate = threading.Event()
        self.threads: set[threading.Thread] = set()

    def load(self, source: str | None, device: str) -> Redness:
        return self

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        self.threads.add(threading.current_thread())
        self.windows += len(windows)
        if self.wait_after is not None and self.windows >= self.wait_after:
            self.gate.wait(20)
        red, green = windows[..., 0].astype(np.float32), windows[..., 1].astype(np.float32)
        return np.clip((red - green) / 160, 0, 1)[:, None]


@dataclass
class FindDesk:
    """A viewer with a slide, moved in the world, and the panels *Find and compare*."""

    qtbot: Any
    viewer: Any
    widget: FindAndCompareWidget
    slide_layer: Any
    segmenter: Redness
    vessels = VESSELS

    @property
    def desk(self) -> Any:
        return self.widget.desk

    @property
    def panel(self) -> Any:
        return self.widget.find_panel

    def look_at(self, y: float, x: float, zoom: float = 4.0) -> None:
        self.viewer.camera.center = (1000 + y * 0.5, 50 + x * 0.5)
        self.viewer.camera.zoom = zoom

    def click(self, button: Any) -> None:
        assert button.isEnabled(), button.toolTip()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def wait_idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.desk.busy, timeout=LONG)

    def find(self, scope: str = "view") -> Any:
        self.desk.finding.set("scope", scope)
        self.click(self.panel.run_button)
        self.wait_idle()
        return self.desk.finding.found

    def labels(self) -> np.ndarray:
        """What the layer of labels shows of level 0."""
        return np.asarray(self.desk.finding.found.labels_layer.data[0])[:1400, :1800]

    def expected(self, count: int = 3) -> np.ndarray:
        """The first so many vessels, uint8."""
        out = np.zeros((1400, 1800), np.uint8)
        for y, x, height, width in VESSELS[:count]:
            out[y : y + height, x : x + width] = 1
        return out


@pytest.fixture(scope="session")
def red_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = np.full((1400, 1800, 3), (200, 160, 205), np.uint8)
    image[:, 1650:] = 246
    for number, (y, x, height, width) in enumerate(VESSELS):
        # redness 1, 0.775, 0.55
        image[y : y + height, x : x + width] = (200, 40 + 36 * number, 60)
    path = tmp_path_factory.mktemp("slides") / "red.tif"
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 2):
            writer.write(
                image[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(step > 1),
                resolution=(2e4, 2e4),
                resolutionunit="CENTIMETER",
            )
    return path


@pytest.fixture
def find_desk(qtbot, red_slide, monkeypatch, tmp_path):
    monkeypatch.setattr(segmenters, "_folder", lambda model: tmp_path)
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(red_slide)
    layer = viewer.add_image(arrays, **settings)
    layer.translate = (1000, 50)
    redness = Redness()
    widget = FindAndCompareWidget(viewer, redness.load)
    qtbot.addWidget(widget)
    made = FindDesk(qtbot, viewer, widget, layer, redness)
    made.look_at(330, 460)
    yield made
    redness.gate.set()
    widget.desk.close()
