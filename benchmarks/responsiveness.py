"""Claim: while a vessel is generated the window lives, and Cancel is heard at once.

A real napari window shows the sample slide. A timer that wants to fire every 5 ms notes how late
it comes: its longest gap is the longest time the window did not answer. Measured, each several
times, medians printed:

- idle: the same window with nothing to do (software OpenGL stalls by itself);
- a frame: the same idle window when the view moves by a pixel: what drawing it once takes;
- a layer: the same idle window when a picture as large as a result is added and taken away;
- with the worker: the package's own job, its progress, its previews, the result's layer and what
  a segmenter says of it, on the processor, from noise;
- without: the same function called on the main thread, which lets Qt run between evaluations, as
  a peer has done since it gave its workers up; it shows neither previews nor a result, and asks
  no segmenter;
- the time from Cancel until the network stands still, and until the window has taken the preview
  away, beside the time of one network evaluation;
- the time of an inpaint with the worker, relative to without.

    python benchmarks/responsiveness.py [SLIDE] [--runs 5] [--method turbo]

Needs a display: ``xvfb-run -a python benchmarks/responsiveness.py`` makes one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import napari

    from napari_histoaug.gui.controller import Controller

TICK = 0.005  # s
IDLE = 5.0  # s
SECONDS_A_RUN = 300
RADIUS = 45  # level-0 pixels


class Pulse:
    """A timer of the main thread; :meth:`longest` is its longest silence, in seconds."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.beat)
        self._timer.start(round(TICK * 1000))
        self.restart()

    def restart(self) -> None:
        self._last, self._gaps = time.perf_counter(), [0.0]

    def beat(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now

    def longest(self) -> float:
        self.beat()
        return max(self._gaps)


def live(done: Callable[[], bool]) -> None:
    """Run Qt's loop until something is so."""
    from qtpy.QtCore import QEventLoop, QTimer

    end = time.perf_counter() + SECONDS_A_RUN
    loop = QEventLoop()
    watch = QTimer()
    watch.timeout.connect(lambda: (done() or time.perf_counter() > end) and loop.quit())
    watch.start(10)
    loop.exec()
    watch.stop()
    if not done():
        raise TimeoutError("the window does not come to rest")


def wait(seconds: float) -> None:
    end = time.perf_counter() + seconds
    live(lambda: time.perf_counter() > end)


def window(slide: Path) -> tuple[napari.Viewer, Controller]:
    """A window with the slide, the panels, and a vessel painted at its middle."""
    import napari

    from napari_histoaug.gui.widget import HistoaugWidget

    viewer = napari.Viewer(show=False)
    viewer.window.resize(1400, 900)
    viewer.window.show()
    viewer.open(str(slide), plugin="napari-histoaug")
    widget = HistoaugWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Inpaint vessel", area="right")
    controller = widget.controller
    session = controller.session
    if session is None:
        raise SystemExit(f"{slide} did not open.")
    middle = [n / 2 for n in session.shape]
    viewer.camera.center = tuple(m * s for m, s in zip(middle, session.scale, strict=True))
    viewer.camera.zoom = 1 / session.scale[0]
    wait(1)
    controller.paint_here()
    canvas = controller.canvas
    assert canvas is not None
    rows, columns = np.ogrid[: canvas.layer.data.shape[0], : canvas.layer.data.shape[1]]
    y, x = (np.subtract(middle, canvas.box[:2])) / canvas.downsample
    radius = RADIUS / canvas.downsample[0]
    disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    canvas.layer.data_setitem(np.nonzero(disc), 1)
    return viewer, controller


def with_worker(controller: Controller) -> float:
    """Seconds of a run from the click to the proposal."""
    start = time.perf_counter()
    controller.making.run()
    live(lambda: not controller.busy)
    if controller.proposal is None:
        raise SystemExit(controller.sentence or "Nothing was made.")
    seconds = time.perf_counter() - start
    controller.reviewing.reject()
    return seconds


def without_worker(controller: Controller) -> float:
    """The same holes on the main thread."""
    from qtpy.QtWidgets import QApplication

    from napari_histoaug.generation import inpaint
    from napari_histoaug.gui.holes import plan_holes

    slide_layer, session = controller.needed_slide()
    drawn = controller.painting.snapshot(slide_layer, controller.label_value)
    (plan,) = plan_holes(drawn.drawings, session.shape, session.slide.mpp)
    start = time.perf_counter()
    inpaint(
        controller.shelf.get(None, "cpu"),
        session.read(plan.box),
        plan.hole,
        mpp=session.slide.mpp,
        method=controller.settings.method,
        progress=lambda done, total: QApplication.processEvents(),
    )
    return time.perf_counter() - start


def show_layer(viewer: napari.Viewer) -> None:
    """Add a picture as large as a result and take it away again."""
    layer = viewer.add_image(np.zeros((256, 256, 4), np.uint8), rgb=True)
    wait(1)
    viewer.layers.remove(layer)
    wait(1)


def move_view(viewer: napari.Viewer) -> None:
    """Move the view by about a pixel and back."""
    y, x = viewer.camera.center[-2:]
    for moved in (x + 1 / viewer.camera.zoom, x):
        viewer.camera.center = (y, moved)
        wait(1)


def cancel_latency(controller: Controller) -> tuple[float, float]:
    """Seconds from Cancel, in the middle of a run, until the network rests and all is told."""
    news: list[object] = []
    controller.progressed.connect(news.append)
    controller.making.run()
    live(lambda: any(getattr(one, "done", 0) > 2 for one in news))
    job, rested = controller.job, [0.0]
    assert job is not None

    def note_rest() -> None:
        while not job.at_rest:
            time.sleep(0.002)
        rested[0] = time.perf_counter()

    watcher = threading.Thread(target=note_rest)
    watcher.start()
    start = time.perf_counter()
    controller.cancel()
    live(lambda: not controller.busy)
    told = time.perf_counter()
    watcher.join()
    controller.progressed.disconnect(news.append)
    return rested[0] - start, told - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--method", default="turbo")
    given = parser.parse_args()
    from napari_histoaug.generation.pace import measure_pace
    from napari_histoaug.slides.samples import fetch_sample

    with tempfile.TemporaryDirectory() as folder:
        # strokes are kept beside a slide, so not beside the user's
        slide = Path(copy(given.slide or fetch_sample(), folder))
        viewer, controller = window(slide)
        controller.settings.device, controller.settings.method = "cpu", given.method
        controller.settings.donors = None  # as without the worker: as many evaluations
        live(lambda: controller.making.timing.idle)
        pulse = Pulse()
        found: dict[str, list[float]] = {}
        with_worker(controller)  # loads the model
        for _ in range(given.runs):
            pulse.restart()
            wait(IDLE)
            found.setdefault("idle", []).append(pulse.longest())
            pulse.restart()
            found.setdefault("worker s", []).append(with_worker(controller))
            found.setdefault("worker", []).append(pulse.longest())
            pulse.restart()
            found.setdefault("main s", []).append(without_worker(controller))
            found.setdefault("main", []).append(pulse.longest())
            pulse.restart()
            move_view(viewer)
            found.setdefault("frame", []).append(pulse.longest())
            pulse.restart()
            show_layer(viewer)
            found.setdefault("layer", []).append(pulse.longest())
            rest, told = cancel_latency(controller)
            found.setdefault("rest", []).append(rest)
            found.setdefault("told", []).append(told)
        pace = measure_pace(controller.shelf.get(None, "cpu"))
        controller.close()
        viewer.close()
    report({key: statistics.median(values) for key, values in found.items()}, pace.evaluation)


def report(median: dict[str, float], evaluation: float) -> None:
    """Print the medians."""
    idle = median["idle"] * 1000
    print(f"longest stall, idle window        {idle:6.0f} ms")
    for key, name in (
        ("frame", "drawing a frame"),
        ("layer", "adding a layer"),
        ("worker", "with the worker"),
        ("main", "without the worker"),
    ):
        stall = median[key] * 1000
        print(
            f"longest stall, {name:19s}{stall:6.0f} ms, {stall - idle:+.0f} ms, {stall / idle:.2f}x"
        )
    print(f"Cancel until the network rests    {median['rest'] * 1000:6.0f} ms")
    print(f"Cancel until the window is ready  {median['told'] * 1000:6.0f} ms")
    print(f"one network evaluation            {evaluation * 1000:6.0f} ms")
    ratio = median["worker s"] / median["main s"]
    print(f"an inpaint with the worker        {median['worker s']:6.2f} s, {ratio:.2f}x without")


if __name__ == "__main__":
    main()
