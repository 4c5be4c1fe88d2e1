"""Painting on a slide: our canvas against a napari Labels layer over the whole slide.

    python benchmarks/painting.py [--side 20000] [--rounds 200]

Both are the same napari layer class in one process. The rival holds the slide's mask whole, once as
an array in memory and once as a zarr array, which are the two ways napari itself offers. Medians;
the canvas's times are with everything that happens when a stroke ends: saved at all levels on the
disk, ready to be undone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from napari.layers import Labels

from napari_histoaug.masks.history import StrokeHistory
from napari_histoaug.masks.store import MaskStore

CANVAS, BRUSH, STAMPS = 2048, 40, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--side", type=int, default=20_000, help="of the slide, pixels")
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    shape = (given.side, given.side)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        stored = zarr.create_array(
            Path(folder) / "whole.zarr", shape=shape, chunks=(512, 512), dtype="uint8"
        )
        canvas = stamps(Labels(np.zeros((CANVAS, CANVAS), np.uint8)), rng, given.rounds)
        whole = stamps(Labels(np.zeros(shape, np.uint8)), rng, given.rounds)
        over_zarr = stamps(Labels(stored), rng, max(5, given.rounds // 10))
        print(f"a stamp of {BRUSH} px, median of {given.rounds}")
        print(f"  canvas of {CANVAS} px           {canvas:8.3f} ms")
        for name, taken in (("in memory", whole), ("in zarr", over_zarr)):
            print(f"  whole slide, {name:<10}    {taken:8.3f} ms  {taken / canvas:6.1f} x")
        store = MaskStore(Path(folder) / "painted.zarr", shape, ("blood_vessel",))
        for level in (0, 3):
            saved, moved = strokes(store, level, rng, max(5, given.rounds // 10))
            print(f"canvas at 1 : {2**level}")
            print(f"  saving a stroke of {STAMPS} stamps  {saved:8.1f} ms")
            print(f"  reading a canvas              {moved:8.1f} ms")


def stamps(layer: Labels, rng: np.random.Generator, rounds: int) -> float:
    """Return the median milliseconds of one stamp."""
    layer.brush_size = BRUSH
    side = layer.data.shape[0]
    places = rng.integers(BRUSH, side - BRUSH, (rounds, 2))
    return median([lambda at=at: layer.paint(tuple(at), 1) for at in places])


def strokes(
    store: MaskStore, level: int, rng: np.random.Generator, rounds: int
) -> tuple[float, float]:
    """Return the median milliseconds of saving a stroke and of reading a canvas."""
    history = StrokeHistory(store)
    saves, reads = [], []
    for _ in range(rounds):
        corner = rng.integers(0, [max(1, side - CANVAS) for side in store.shapes[level]])
        box = (int(corner[0]), int(corner[1]), CANVAS, CANVAS)
        start = time.perf_counter()
        before = store.read(level, box)
        reads.append(time.perf_counter() - start)
        layer = Labels(before.copy())
        layer.brush_size = BRUSH
        y, x = rng.integers(BRUSH, CANVAS - 2 * BRUSH * STAMPS // 4, 2)
        for index in range(STAMPS):
            layer.paint((y, x + index * BRUSH // 4), 1)
        start = time.perf_counter()
        changed = np.asarray(layer.data) != before
        history.add(store.write(level, box, layer.data, changed))
        saves.append(time.perf_counter() - start)
    return 1e3 * statistics.median(saves), 1e3 * statistics.median(reads)


def median(actions: list[Callable[[], object]]) -> float:
    """Return the median milliseconds of some actions."""
    seconds = []
    for action in actions:
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


if __name__ == "__main__":
    main()
