"""The demo's journey through the real plugin: every step a person would click, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QAbstractButton, QDialog, QWidget

from napari_histoaug.gui.demo_page import DemoError, Summary, write_picture, write_summary
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.masks import vessel_outline

if TYPE_CHECKING:
    import napari
    from napari.layers import Image
    from numpy.typing import NDArray

PLUGIN, WIDGET = "napari-histoaug", "Inpaint vessel"
VIEW_MICROMETRES = 260.0
"""Height of the part of the slide in view while painting."""
PATIENCE_SECONDS = 1800.0
"""Against a window that hangs, not against a slow machine."""


@dataclass(frozen=True)
class Vessel:
    """One to paint into CMU-1-Small-Region.

    Attributes
    ----------
    place : (y, x)
        Of its centre, level 0.
    radius : float
        In level-0 pixels.
    seed : int
        Of its outline.
    """

    place: tuple[float, float]
    radius: float
    seed: int


VENULE = Vessel((2658.0, 928.0), 40.0, 7)
"""About 40 µm across, in collagen of the dermis without a vessel within 60 µm; a real venule lies
below and to the right, to compare with."""


@dataclass
class Journey:
    """One viewer with the plugin's widget, driven step by step.

    Attributes
    ----------
    viewer : napari.Viewer
    widget : QWidget
        The plugin's dock widget; its ``controller`` holds the state that the steps wait for.
    out : Path
        The demo's folder.
    seconds : dict
        Seconds of every step so far.
    """

    viewer: napari.Viewer
    widget: Any
    out: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    @property
    def slide_layer(self) -> Image:
        """The layer that shows the slide."""
        return self.widget.controller.slide_layer

    @property
    def session(self) -> SlideSession:
        """The open slide."""
        session = session_of(self.slide_layer)
        assert session is not None
        return session

    def click(self, text: str) -> None:
        """Click the button with this text, as a person would: only when it can be clicked."""
        button = find_button(self.widget, text)
        if not button.isEnabled():
            # the panels put the reason last
            reason = button.toolTip().rpartition("\n")[2].removeprefix("Not now: ")
            raise DemoError(f"{text} cannot be clicked: {reason or 'no reason given'}")
        button.click()

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Let the window live until `ready`, no job runs any more, or patience ends."""
        end = time.monotonic() + PATIENCE_SECONDS
        controller = self.widget.controller
        while not ready() or controller.busy:
            live()
            if not controller.busy and not ready():
                # the job's last words may still be on their way
                live()
                if not ready():
                    raise DemoError(f"{what} gave no result: {_last_notification()}")
            if time.monotonic() > end:
                raise DemoError(f"{what} did not end within {PATIENCE_SECONDS:.0f} s.")
        live()


def live(seconds: float = 0.02) -> None:
    """Let the window live for a moment, in an event loop as under a person's hands.

    ``QApplication.processEvents`` alone never deletes what asked to be deleted later: the
    progress bar of an opened file would stay, and its animation would slow everything down.
    """
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def find_button(widget: QWidget, text: str) -> QAbstractButton:
    """The button of a widget with this text (mnemonics aside)."""
    for button in widget.findChildren(QAbstractButton):
        if button.text().replace("&", "") == text:
            return button
    raise DemoError(f"The panels have no button called {text}.")


def close_notifications(viewer: napari.Viewer) -> None:
    """Close the bubbles that would hide a part of the window's picture."""
    for dialog in viewer.window._qt_window.findChildren(QDialog):
        if type(dialog).__name__ == "NapariQtNotification":
            dialog.close()
    live()


def open_slide_layer(journey: Journey, slide: Path) -> None:
    """Open the slide through the plugin's reader and go to the demo's vessel."""
    journey.viewer.open(str(slide), plugin=PLUGIN)
    if journey.slide_layer is None:
        raise DemoError(f"The slide {slide} did not open: {_last_notification()}")
    look_at(journey, VENULE)


def look_at(journey: Journey, vessel: Vessel) -> None:
    """Show a vessel's place at a zoom that suits it."""
    scale = journey.session.scale
    canvas = getattr(journey.viewer, "canvas", None)
    # before napari 0.9 the viewer itself held the size
    height = journey.viewer._canvas_size[0] if canvas is None else canvas.size[0]
    journey.viewer.camera.center = (vessel.place[0] * scale[0], vessel.place[1] * scale[1])
    journey.viewer.camera.zoom = height / VIEW_MICROMETRES
    live()


def paint(journey: Journey, vessel: Vessel = VENULE) -> None:
    """Click *Paint here* and paint a vessel-shaped mask, through the layer's own undoable edit."""
    journey.click("Paint here")
    layer = journey.widget.controller.painting.canvas.layer
    layer.data_setitem(np.nonzero(outlined(journey, vessel)), layer.selected_label)
    live()


def outlined(journey: Journey, vessel: Vessel) -> NDArray[np.bool_]:
    """What to paint for a vessel on the canvas as it lies now, bool, as large as the canvas."""
    canvas = journey.widget.controller.painting.canvas
    (y, x), step = vessel.place, canvas.downsample
    centre = (y - canvas.box[0]) / step[0], (x - canvas.box[1]) / step[1]
    rng = np.random.default_rng(vessel.seed)
    return vessel_outline(rng, canvas.layer.data.shape, vessel.radius / max(step), centre)


def drive(journey: Journey, slide: Path) -> Path:
    """Make the whole journey and write its results.

    Parameters
    ----------
    journey
        A viewer with the plugin's widget.
    slide
        A copy of the sample slide inside the demo's folder.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    HistoaugError
        One sentence, when a step fails.
    """
    controller = journey.widget.controller
    with journey.step("open the slide"):
        open_slide_layer(journey, slide)
        summary = Summary(slide=slide.name, slide_sha256_before=journey.session.slide.sha256())
    with journey.step("paint a vessel"):
        paint(journey)
    with journey.step("inpaint it"):
        journey.click("Inpaint vessel")
        journey.wait(lambda: controller.proposal is not None, "Inpaint vessel")
    (part,) = controller.proposal.parts
    before = shown(journey, part.box)
    with journey.step("accept it"):
        journey.click("Accept")
        journey.wait(lambda: bool(journey.session.edits.edits), "Accept")
    with journey.step("export the pair"):
        journey.widget.export_panel.folder_edit.setText(str(journey.out / "pair"))
        journey.click("Export pair")
        journey.wait(lambda: (journey.out / "pair" / "manifest.csv").is_file(), "Export pair")
    with journey.step("write the pictures"):
        write_picture(journey.out / "before.png", before)
        write_picture(journey.out / "after.png", shown(journey, part.box))
        write_picture(journey.out / "hole.png", np.where(part.changed, 255, 0).astype(np.uint8))
        photograph(journey, "napari.png")
    return _summarise(journey, summary, slide, int(np.count_nonzero(part.changed)))


def shown(journey: Journey, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """What napari shows in a level-0 box at full resolution, uint8 (height, width, 3)."""
    y, x, height, width = box
    return np.asarray(journey.session.pyramid.arrays[0][y : y + height, x : x + width])


def photograph(journey: Journey, name: str) -> None:
    """Take a picture of the window into the demo's folder."""
    close_notifications(journey.viewer)
    journey.viewer.screenshot(str(journey.out / name), canvas_only=False, flash=False)


def _summarise(journey: Journey, summary: Summary, slide: Path, changed: int) -> Path:
    """Fill in the numbers of the accepted edit and write summary and page."""
    from napari_histoaug.slides import open_slide

    record = journey.session.edits.edits[-1]
    # a second opening: the hash of the first one is kept from before
    with open_slide(slide) as again:
        summary.slide_sha256_after = again.sha256()
    summary.box = dict(zip(("y", "x", "height", "width"), record.box, strict=True))
    summary.mpp = list(record.mpp) if record.mpp else None
    summary.label, summary.method = record.label, record.method
    summary.steps, summary.evaluations, summary.seed = record.steps, record.evaluations, record.seed
    summary.model, summary.model_sha256 = record.model, record.model_sha256
    summary.changed_pixels = changed
    summary.seconds = journey.seconds
    return write_summary(journey.out, summary)


def _last_notification() -> str:
    """The last sentence napari was asked to show."""
    records = notification_manager.records
    return str(records[-1].message) if records else "napari gave no reason."
