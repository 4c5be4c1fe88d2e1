"""Claim: in a real napari window a slide is on the screen, and follows the mouse, sooner.

Every way of opening the slide gets a process and a window of its own. Printed for each, with the
ratio of ours to it (below 1 is faster):

- seconds from opening the slide, in a window that already stands, to its first painted canvas;
- a storm of pans and zooms, the same for all: milliseconds from setting the camera until the
  slice for it is loaded and drawn, and of that the loading alone, 95th percentiles (drawing
  costs all the same, and without a graphics card it costs most: see the row without a slide);
- processor time a step, which other programs on the machine disturb less;
- resident memory that opening and the storm added.

Below the table the same ratios with the floor taken off, which is what a window with a black
square costs: without a graphics card putting the window together is most of every step.

    python benchmarks/slides_window.py [SLIDE] [--steps 200] [--asynchronous]

Needs a display: ``xvfb-run -a python benchmarks/slides_window.py`` makes one. SLIDE is the sample
slide (CMU-1-Small-Region) when omitted. Peers that are not installed are left out by name.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

CANVAS = (900, 1400)
SECONDS_A_STEP = 60
OURS, FLOOR = "napari-histoaug", "no slide, 512 px of black: the floor"


def with_ours(viewer: napari.Viewer, path: Path) -> Image:
    return viewer.open(str(path), plugin="napari-histoaug")[0]


def with_napari_wsi(viewer: napari.Viewer, path: Path) -> Image:
    from napari_wsi.backends.common import WSIReaderBackend
    from napari_wsi.color_transform import ColorSpace
    from napari_wsi.common import open_store

    store = open_store(
        path=str(path), backend=WSIReaderBackend.OPENSLIDE, color_space=ColorSpace.RAW
    )
    levels, settings, _ = store.to_layer_data_tuples()[0]
    return viewer.add_image(levels, **settings)


def with_dask(viewer: napari.Viewer, path: Path) -> Image:
    import dask.array
    import tifffile
    import zarr

    store = tifffile.imread(path, aszarr=True)
    group = zarr.open(store, mode="r")
    arrays = [group[key] for key in sorted(group)] if isinstance(group, zarr.Group) else [group]
    arrays.sort(key=lambda array: -array.shape[0])
    return viewer.add_image([dask.array.from_zarr(array) for array in arrays])


def with_napari(viewer: napari.Viewer, path: Path) -> Image:
    return viewer.open(str(path), plugin="napari")[0]


def with_nothing(viewer: napari.Viewer, path: Path) -> Image:
    return viewer.add_image(np.zeros((512, 512, 3), np.uint8))


WAYS: dict[str, tuple[Callable[[Any, Path], Any], str]] = {
    OURS: (with_ours, "napari_histoaug"),
    "napari-wsi (OpenSlide)": (with_napari_wsi, "napari_wsi"),
    "tifffile's zarr through dask": (with_dask, "dask"),
    "napari's own reader (all in memory)": (with_napari, "napari"),
    FLOOR: (with_nothing, "napari"),
}


def clocked() -> list[float]:
    """Make napari note the seconds of every slice it loads, in its own thread or the window's."""
    # No public way to know how long a slice took.
    from napari.layers._scalar_field._slice import _ScalarFieldSliceRequest as Request

    load, seconds = Request.__call__, []

    def timed(request: Any) -> Any:
        start = time.perf_counter()
        try:
            return load(request)
        finally:
            seconds.append(time.perf_counter() - start)

    Request.__call__ = timed  # type: ignore[method-assign]
    return seconds


class Window:
    """A napari window whose draws are counted."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer(show=False)
        self.viewer.window.resize(CANVAS[1] + 400, CANVAS[0] + 200)
        self.viewer.window.show()
        self._app = QApplication.instance()
        # No public way to know that a frame has been drawn.
        self._canvas = self.viewer.window._qt_viewer.canvas._scene_canvas
        self.draws = 0
        self._canvas.events.draw.connect(self._drawn)
        self._settle()
        self.paint(None)

    @property
    def canvas(self) -> tuple[int, int]:
        """(width, height) of the canvas in pixels."""
        width, height = self._canvas.size
        return int(width), int(height)

    def _settle(self) -> None:
        """Wait until the canvas has its size: a small one would be drawn sooner."""
        height, width = CANVAS
        self._until(lambda: self.canvas[0] >= width and self.canvas[1] >= height)

    def _drawn(self, event: Any) -> None:
        self.draws += 1

    def paint(self, layer: Any) -> None:
        """Wait for the draw that asks for the slice, for the slice, and for a draw with it."""
        self._draw()
        self._until(lambda: layer is None or layer.loaded)
        self._draw()

    def _draw(self) -> None:
        before = self.draws
        self._canvas.update()
        self._until(lambda: self.draws > before)

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.perf_counter() + SECONDS_A_STEP
        while not done():
            self._app.processEvents()
            if time.perf_counter() > end:
                raise TimeoutError("the window does not come to rest")


def storm(steps: int, height: int, width: int) -> Iterator[tuple[float, float, float]]:
    """Yield (y, x, screen pixels a level-0 pixel): a walk between the overview and full size."""
    random = np.random.default_rng(0)
    least = min(CANVAS[0] / height, CANVAS[1] / width, 1.0)
    y, x, zoom = height / 2, width / 2, least
    for step in range(steps):
        if step % 4 == 3:
            zoom = float(np.clip(zoom * random.choice([0.4, 2, 4]), least, 1))
        move = random.uniform(-0.5, 0.5, 2) * CANVAS / zoom
        y = float(np.clip(y + move[0], 0, height))
        x = float(np.clip(x + move[1], 0, width))
        yield y, x, zoom


def measure(way: str, path: Path, steps: int) -> dict[str, float]:
    """Open the slide in a window and shake it."""
    import psutil

    process, window, loads = psutil.Process(), Window(), clocked()
    before, start = process.memory_info().rss, time.perf_counter()
    layer = WAYS[way][0](window.viewer, path)
    window.paint(layer)
    opened = time.perf_counter() - start
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[:2]
    size_y, size_x = layer.scale[-2:]
    times, work = [], time.process_time()
    loads.clear()
    for y, x, zoom in storm(steps, height, width):
        start = time.perf_counter()
        window.viewer.camera.center = (y * size_y, x * size_x)
        window.viewer.camera.zoom = zoom / size_x
        window.paint(layer)
        times.append(time.perf_counter() - start)
    added = process.memory_info().rss - before
    return {
        "opened": opened, "memory": added / 1e6,
        "median": float(np.median(times)) * 1000, "p95": float(np.percentile(times, 95)) * 1000,
        "work": (time.process_time() - work) / steps * 1000,
        "load": float(np.percentile(loads or [0], 95)) * 1000,
        "canvas": float(np.prod(window.canvas)),
    }  # fmt: skip


def in_a_process(way: str, path: Path, given: argparse.Namespace) -> dict[str, float] | str:
    """Measure in a fresh process; a sentence when that fails."""
    command = [sys.executable, __file__, str(path), "--way", way, "--steps", str(given.steps)]
    environment = {"QT_API": "pyqt5"} | os.environ | {"NAPARI_ASYNC": str(int(given.asynchronous))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"fails: {lines[-1][:90] if lines else done.returncode}"
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Compare on one slide."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--asynchronous", action="store_true", help="slices in napari's thread")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given.slide, given.steps)))
        return
    from napari_histoaug.slides.samples import fetch_sample

    path = given.slide or fetch_sample()
    mode = "asynchronous" if given.asynchronous else "synchronous"
    print(f"{path.name}, {given.steps} steps, {mode} slicing")
    results = {}
    for way, (_, module) in WAYS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{way:36s} not installed")
            continue
        found = in_a_process(way, path, given)
        if isinstance(found, str):
            print(f"{way:36s} {found}")
            continue
        results[way] = found
    report(results)


def report(results: dict[str, dict[str, float]]) -> None:
    """Print the table, and the ratios without what an empty window costs."""
    heads = f"{'median ms':>10s} {'p95 ms':>14s} {'p95 load ms':>14s} {'CPU ms':>14s} {'MB':>5s}"
    print(f"{'':36s} {'open s':>14s} {heads}")
    sizes = {found["canvas"] for found in results.values()}
    print(f"canvases of {', '.join(f'{size / 1e6:.2f}' for size in sorted(sizes))} megapixels")
    ours = results[OURS]
    for way, found in results.items():
        ratio = {
            key: f"({ours[key] / found[key]:.2f}x)" if found[key] else ""
            for key in ("opened", "p95", "load", "work")
        }
        print(
            f"{way:36s} {found['opened']:6.2f} {ratio['opened']:>7s} {found['median']:10.0f} "
            f"{found['p95']:6.0f} {ratio['p95']:>7s} {found['load']:6.0f} {ratio['load']:>7s} "
            f"{found['work']:6.0f} {ratio['work']:>7s} {found['memory']:5.0f}"
        )
    floor = results[FLOOR]
    for way, found in results.items():
        if way not in (OURS, FLOOR):
            above = (
                f"{key} {(ours[key] - floor[key]) / (found[key] - floor[key]):.2f}x"
                for key in ("opened", "median", "p95", "work")
                if found[key] > floor[key]
            )
            print(f"above the floor, ours to {way}: {', '.join(above)}")


if __name__ == "__main__":
    main()
