"""Predicting a whole slide: block by block, in flat memory, resumable after any kill."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.edits.versions import versions
from napari_histoaug.errors import Cancelled
from napari_histoaug.patches.grid import Grid, patch_grid
from napari_histoaug.patches.pixels import read_pixels, read_validity
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.overlap import KeptWindows, around, predict_block, window_starts
from napari_histoaug.segmentation.prediction_store import (
    Colour,
    PredictionStore,
    blocks,
)
from napari_histoaug.segmentation.segmenter import Segmenter
from napari_histoaug.slides import Slide
from napari_histoaug.slides.exclusive import exclusive

Box = tuple[int, int, int, int]
Progress = Callable[[int, int], None]
UInt8 = npt.NDArray[np.uint8]
Wanted = Callable[[Box], bool]
MOST_KEPT = 400 << 20  # bytes; a row of windows over 100,000 pixels
JOB, DONE, FAILED = "job.json", "blocks.log", "failed.log"

DEFAULT_COLOURS: tuple[Colour, ...] = (
    (200, 30, 60),
    (40, 110, 200),
    (240, 190, 40),
    (120, 60, 160),
)


def predict_slide(
    segmenter: Segmenter,
    slide: Slide,
    out: Path,
    *,
    wanted: Wanted | None = None,
    about: Mapping[str, Any] | None = None,
    batch: int = 8,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    block_done: Callable[[Box, UInt8], None] | None = None,
) -> Path:
    """Find the segmenter's classes on a whole slide and keep the result as OME-Zarr.

    Parameters
    ----------
    segmenter : Segmenter
    slide : Slide
        Resampled to the segmenter's pixel size; one without a pixel size is taken as it is.
    out : Path
        Folder to make. A run that was stopped left ``<out>.part``; the same call goes on there.
    wanted : callable, optional
        Told a window's box (y, x, height, width) in pixels of the prediction; False leaves
        probability 0 there, for instance where there is no tissue.
    about : mapping, optional
        What `wanted` goes by, as plain values; kept with the result. An interrupted run that went
        by something else is not gone on with.
    batch : int
        Windows a network call.
    progress : callable, optional
        Called with (done, total) blocks.
    cancelled : callable, optional
        Asked before every batch; True stops. What was done is kept for the next run.
    block_done : callable, optional
        Told each finished block's box and its labels uint8 (height, width).

    Returns
    -------
    Path
        `out`, see :mod:`.prediction_store`.

    Raises
    ------
    SegmentationError
        When `out` exists, or another process writes it.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so.
    """
    if out.exists():
        raise SegmentationError(f"{out} exists; choose another name or delete it first.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(out.with_name(f"{out.name}.lock")) as alone:
        if not alone:
            raise SegmentationError(f"Another process is writing {out}; wait for it.")
        job = _Job(segmenter, slide, out, wanted, dict(about or {}), batch, cancelled or _never)
        job.run(progress or _nothing, block_done)
    return out


@dataclass(frozen=True)
class _Block:
    box: Box
    image: UInt8
    origin: tuple[int, int]
    valid: npt.NDArray[np.bool_]


class _Job:
    """One slide being predicted into one folder."""

    def __init__(
        self,
        segmenter: Segmenter,
        slide: Slide,
        out: Path,
        wanted: Wanted | None,
        about: dict[str, Any],
        batch: int,
        cancelled: Callable[[], bool],
    ) -> None:
        self.segmenter, self.slide, self.out = segmenter, slide, out
        self.wanted, self.about, self.batch, self.cancelled = wanted, about, batch, cancelled
        self.failures: set[tuple[int, int, int]] = set()
        self.kept = KeptWindows(MOST_KEPT)
        self.grid = prediction_grid(segmenter, slide)
        self.patch = segmenter.index.patch
        self.part = out.with_name(f"{out.name}.part")

    def run(self, progress: Progress, block_done: Callable[[Box, UInt8], None] | None) -> None:
        store, done = self._begin()
        everything = list(blocks(self.grid.shape))
        todo = [box for box in everything if box[:2] not in done]
        progress(len(everything) - len(todo), len(everything))
        # The next block is read while the network works on this one.
        with ThreadPoolExecutor(1, "histoaug-read") as reader:
            for count, block in enumerate(_ahead(reader, self._read, todo), 1):
                labels = self._write(store, block)
                self._remember(block.box)
                if block_done is not None:
                    block_done(block.box, labels)
                progress(len(everything) - len(todo) + count, len(everything))
        store.coarsen(self._stop_if_cancelled)
        store.finish(self._facts())
        for name in (JOB, DONE, FAILED):
            (self.part / name).unlink(missing_ok=True)
        os.replace(self.part, self.out)

    def _begin(self) -> tuple[PredictionStore, set[tuple[int, int]]]:
        """Open what an interrupted run of the same job left, or begin anew."""
        job = self._identity()
        if self.part.exists():
            found = _read_json(self.part / JOB)
            if found == job:
                self.failures = {(a, b, c) for a, b, c in _lines(self.part / FAILED)}
                done = {(y, x) for y, x in _lines(self.part / DONE)}
                return PredictionStore.resume(self.part), done
            shutil.rmtree(self.part)
        classes = self.segmenter.classes
        colours = [DEFAULT_COLOURS[i % len(DEFAULT_COLOURS)] for i in range(len(classes))]
        store = PredictionStore.create(self.part, self.grid.shape, classes, self.grid.mpp, colours)
        (self.part / JOB).write_text(json.dumps(job), "utf-8")
        return store, set()

    def _identity(self) -> dict[str, Any]:
        return {
            "segmenter_sha256": self.segmenter.sha256,
            "slide_id": self.slide.slide_id(),
            "shape": list(self.grid.shape),
            "wanted": self.about,
        }

    def _read(self, box: Box) -> _Block:
        y, x, height, width = box
        rows = window_starts(y, height, self.patch)
        columns = window_starts(x, width, self.patch)
        places = [(r, c) for r in rows for c in columns if self._window_wanted(r, c)]
        image, origin = np.empty((0, 0, 3), np.uint8), (y, x)
        if places:  # else glass: nothing to look at, and nothing to read
            seen = around(places, self.patch)
            image, origin = read_pixels(self.slide, self.grid, seen), seen[:2]
        # After reading, by which damage becomes known.
        return _Block(box, image, origin, read_validity(self.slide, self.grid, box))

    def _write(self, store: PredictionStore, block: _Block) -> UInt8:
        top, left = block.origin
        found = predict_block(
            self._predict,
            lambda y, x, h, w: block.image[y - top : y - top + h, x - left : x - left + w],
            block.box,
            self.patch,
            batch=self.batch,
            wanted=self._window_wanted,
            kept=self.kept,
        )
        size = block.box[2:]
        if found is None:
            found = np.zeros((len(self.segmenter.classes), *size), np.float32)
        found *= block.valid
        labels = self.segmenter.labels(found)
        store.write(
            block.box,
            np.rint(found * 255).clip(0, 255).astype(np.uint8),
            labels,
            block.valid.astype(np.uint8),
        )
        return labels

    def _predict(self, windows: UInt8) -> npt.NDArray[np.float32]:
        self._stop_if_cancelled()
        return self.segmenter.probabilities(windows)

    def _window_wanted(self, y: int, x: int) -> bool:
        height, width = self.grid.shape
        inside = y + self.patch > 0 and x + self.patch > 0 and y < height and x < width
        box = (y, x, self.patch, self.patch)
        return inside and (self.wanted is None or self.wanted(box))

    def _remember(self, box: Box) -> None:
        """Note a block as done, after the tiles that could not be decoded so far."""
        new = {failure[:3] for failure in self.slide.failures} - self.failures
        if new:
            _append(self.part / FAILED, sorted(new))
            self.failures |= new
        _append(self.part / DONE, [box[:2]])

    def _facts(self) -> dict[str, Any]:
        index = self.segmenter.index
        return {
            "segmenter": index.name,
            "segmenter_sha256": self.segmenter.sha256,
            "slide_id": self.slide.slide_id(),
            "classes": list(index.classes),
            "thresholds": list(index.thresholds),
            "level_0_pixels_per_pixel": list(self.grid.spacing),
            "failed_tiles": [list(failure) for failure in sorted(self.failures)],
            "wanted": self.about,
            "versions": versions(),
        }

    def _stop_if_cancelled(self) -> None:
        if self.cancelled():
            raise Cancelled("Stopped; the next run goes on where this one was.")


def prediction_grid(segmenter: Segmenter, slide: Slide) -> Grid:
    """The grid of pixels on which a segmenter sees a slide."""
    mpp = None if slide.mpp is None else float(np.mean(segmenter.mpp))
    return patch_grid(slide, PatchSettings(mpp=mpp))


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Box], _Block], todo: Sequence[Box]
) -> Iterator[_Block]:
    """Yield what `read` returns for each box, the next one already under way."""
    waiting = None
    for box in todo:
        upcoming = pool.submit(read, box)
        if waiting is not None:
            yield waiting.result()
        waiting = upcoming
    if waiting is not None:
        yield waiting.result()


def _append(path: Path, rows: Iterable[tuple[int, ...]]) -> None:
    with path.open("a", encoding="ascii") as file:
        file.writelines(f"{' '.join(map(str, row))}\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[tuple[int, ...]]:
    """Rows of numbers; a last line cut short by a kill counts for nothing."""
    if not path.exists():
        return []
    lines = path.read_text("ascii").split("\n")[:-1]
    return [tuple(int(number) for number in line.split()) for line in lines]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _nothing(done: int, total: int) -> None:
    """Tell nobody."""


def _never() -> bool:
    return False
