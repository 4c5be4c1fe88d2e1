"""The sidecar of a slide: the levels its file lacks, made once and kept in the user's cache.

A sidecar is an OME-Zarr 0.5 image that holds, losslessly, every served level the file does not
store, and copies of stored ones whose strips or tiles are too large to decode on demand. It is
written under a temporary name, its root document last, and then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from napari_histoaug.errors import Cancelled
from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.exclusive import exclusive
from napari_histoaug.slides.plan import TILE, needs_sidecar, plan_levels
from napari_histoaug.slides.resampling import averaged_block
from napari_histoaug.slides.sidecar_place import (
    cache_folder,
    find_sidecar,
    is_complete,
    read_rgb,
    root_document,
    sidecar_levels,
    sidecar_path,
)
from napari_histoaug.slides.slide import Slide

__all__ = ["build_sidecar", "find_sidecar", "needs_sidecar"]

#: Averaged pixels made at once (rows, columns): four times as many are read.
_AVERAGED = (TILE, 2 * TILE)
#: Bytes of pieces in work together, unless one row of tiles of the file alone is larger.
_BYTES_AT_ONCE = 64 * 2**20
_WORKERS = 2
#: Tissue hardly shrinks, so the quickest level; the checksum finds what a disk spoils.
_CODECS = (
    BloscCodec(typesize=1, cname="zstd", clevel=1, shuffle="noshuffle"),
    Crc32cCodec(),
)
_MOST_DAMAGED = 1e-3

Box = tuple[int, int, int, int]
Progress = Callable[[int, int], None]


def build_sidecar(
    slide: Slide,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Make the missing levels of a slide by area mean, from level 0 upward, and keep them.

    The slide is read once, in pieces: memory stays below 300 MB whatever its size, as long as its
    own strips or tiles do. A sidecar that is already complete is returned as it is; what an
    interrupted build left behind is removed.

    Parameters
    ----------
    slide : Slide
    folder : path-like, optional
        Where sidecars are kept; by default ``pyramids`` in the user's cache folder.
    progress : callable, optional
        ``progress(done, total)`` in tiles of 512 x 512 pixels.
    cancelled : callable, optional
        Asked before every piece; True stops.

    Returns
    -------
    pathlib.Path
        The sidecar's folder, an OME-Zarr 0.5 image. Its name says nothing about the slide.

    Raises
    ------
    SlideError
        When it does not fit on the disk, the folder cannot be written, another window is
        building it, the slide changed meanwhile or more than 0.1 % of its tiles are damaged.
    Cancelled
        When `cancelled` said so; nothing is left behind.
    """
    place = cache_folder() if folder is None else Path(folder).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
        path = sidecar_path(slide, place)
        with exclusive(place / f"{path.stem}.lock") as alone:
            if not alone:
                raise SlideError(
                    f"The overview levels of {slide.path.name} are being made by another window; "
                    "wait until it is done."
                )
            if not is_complete(path):
                _remove_leftovers(place)
                _build(slide, path, progress or _no_progress, cancelled or _never)
    except OSError as error:
        raise SlideError(
            f"The overview levels of {slide.path.name} cannot be kept in {place} "
            f"({error.strerror or error}); make that folder writable or choose another."
        ) from error
    return path


def bytes_needed(slide: Slide) -> int:
    """Return the most bytes the sidecar of a slide can take: its pixels, not compressed."""
    tiles = sum(level.grid[0] * level.grid[1] for level in sidecar_levels(slide).values())
    return tiles * TILE * TILE * 3


def _build(slide: Slide, path: Path, progress: Progress, cancelled: Callable[[], bool]) -> None:
    _check_space(slide, path.parent)
    part = _temporary(path)
    before, known = slide.fingerprint, len(slide.failures)
    try:
        _Writer(slide, part).write_all(progress, cancelled)
        damaged = len(slide.failures) - known
        _check_source(slide, before, damaged)
        document = root_document(slide, sidecar_levels(slide), len(slide.failures))
        (part / "zarr.json").write_text(json.dumps(document), "utf-8")
        if path.exists():  # without a root document: somebody emptied it
            shutil.rmtree(path)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Writer:
    """Writes the levels of one sidecar, each from the one before it."""

    def __init__(self, slide: Slide, folder: Path) -> None:
        self.slide = slide
        self.levels = plan_levels(slide)
        group = zarr.create_group(str(folder), overwrite=True)
        # Without its root document the folder is no image yet.
        (folder / "zarr.json").unlink()
        self.arrays = {
            index: group.create_array(
                str(index),
                shape=(3, *level.shape),
                chunks=(3, TILE, TILE),
                dtype="uint8",
                fill_value=255,
                compressors=_CODECS,
                dimension_names=("c", "y", "x"),
                # So that a chunk that is missing later is known to have been lost.
                config={"write_empty_chunks": True},
            )
            for index, level in sidecar_levels(slide).items()
        }

    def write_all(self, progress: Progress, cancelled: Callable[[], bool]) -> None:
        grids = [self.levels[index].grid for index in self.arrays]
        done, total = 0, sum(rows * columns for rows, columns in grids)
        progress(done, total)
        with ThreadPoolExecutor(_WORKERS, "sidecar") as pool:
            for index in self.arrays:
                # A level is finished before the next one, which is made of it.
                waiting: deque[Future[int]] = deque()
                for box in self._boxes(index):
                    if cancelled():
                        raise Cancelled(f"Stopped; no levels of {self.slide.path.name} were kept.")
                    if len(waiting) >= self._at_once(index):
                        done += waiting.popleft().result()
                        progress(done, total)
                    waiting.append(pool.submit(self._write, index, box))
                for future in waiting:
                    done += future.result()
                    progress(done, total)

    def _write(self, index: int, box: Box) -> int:
        """Write one piece of a level; return how many tiles it covers."""
        y, x, height, width = box
        stored = self.levels[index].stored
        if stored is not None:
            pixels = self.slide.read_block(stored, *box)
        else:
            pixels = averaged_block(
                lambda *fine: self._read(index - 1, *fine),
                self.levels[index - 1].shape,
                self.levels[index].shape,
                box,
            )
        self.arrays[index][:, y : y + height, x : x + width] = np.moveaxis(pixels, -1, 0)
        return -(-height // TILE) * -(-width // TILE)

    def _read(self, index: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        if index in self.arrays:
            return read_rgb(self.arrays[index], y, x, height, width)
        stored = self.levels[index].stored
        assert stored is not None
        return self.slide.read_block(stored, y, x, height, width)

    def _boxes(self, index: int) -> Iterator[Box]:
        """Cut a level into pieces of whole tiles, row by row."""
        rows, columns = self.levels[index].shape
        step_y, step_x = self._piece(index)
        for y in range(0, rows, step_y):
            for x in range(0, columns, step_x):
                yield y, x, min(step_y, rows - y), min(step_x, columns - x)

    def _piece(self, index: int) -> tuple[int, int]:
        """Return the (height, width) in which a level is written, in whole tiles.

        Of a level that is copied: as wide as its own strips or tiles and, memory permitting, as
        high, so that few of them are decoded twice.
        """
        stored = self.levels[index].stored
        if stored is None:
            return _AVERAGED
        height, width = (-(-max(side, TILE) // TILE) * TILE for side in self._tile(stored))
        most = max(_BYTES_AT_ONCE // (width * 3 * TILE), 1) * TILE
        return min(height, most), width

    def _at_once(self, index: int) -> int:
        height, width = self._piece(index)
        return max(1, min(_WORKERS, _BYTES_AT_ONCE // (height * width * 3)))

    def _tile(self, stored: int) -> tuple[int, int]:
        shape, tile = self.slide.levels[stored].shape, self.slide.tile_shapes[stored]
        return min(shape[0], tile[0]), min(shape[1], tile[1])


def _check_space(slide: Slide, folder: Path) -> None:
    needed, free = bytes_needed(slide), shutil.disk_usage(folder).free
    if needed > free:
        raise SlideError(
            f"The overview levels of {slide.path.name} take up to {needed / 1e9:.1f} GB, but only "
            f"{free / 1e9:.1f} GB are free in {folder}; free some space or choose another folder."
        )


def _check_source(slide: Slide, before: tuple[str, int, int], damaged: int) -> None:
    if slide.fingerprint != before:
        raise SlideError(f"{slide.path.name} changed while it was read; open it again.")
    tiles = 0
    for level, (height, width) in zip(slide.levels, slide.tile_shapes, strict=True):
        tiles += -(-level.shape[0] // height) * -(-level.shape[1] // width)
    if damaged > max(1, _MOST_DAMAGED * tiles):
        raise SlideError(
            f"{damaged} of the {tiles} tiles of {slide.path.name} cannot be read; "
            "copy it again from its source."
        )


def _temporary(path: Path) -> Path:
    return path.with_suffix(".building")


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted builds left, unless somebody is still building it."""
    for part in folder.glob("*.building"):
        with exclusive(part.with_suffix(".lock")) as alone:
            if alone:
                shutil.rmtree(part, ignore_errors=True)


def _no_progress(done: int, total: int) -> None:
    """Tell nobody."""


def _never() -> bool:
    return False
