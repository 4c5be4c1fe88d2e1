"""What was painted on a slide: a sparse multiscale mask beside it.

A zarr v3 group in the layout of an OME-Zarr 0.5 label image, one uint8 array a level, each half as
large as the one before. Level 0 has the slide's pixels; a pixel of a coarser level is the largest
class value among its four, so that thin vessels survive. Chunks without paint are not stored.
"""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.errors import HistoaugError
from napari_histoaug.masks.chunk_files import CHUNK, Chunk, ChunkFiles, common_part, decode, encode
from napari_histoaug.masks.layout import create_group, level_shapes, read_classes, write_classes

Box = tuple[int, int, int, int]

_PENDING = "pending.json"


class MaskError(HistoaugError):
    """A painted mask that cannot be read or written."""


@dataclass(frozen=True)
class Change:
    """What a stroke did to the stored chunks.

    Attributes
    ----------
    box : (y, x, height, width)
        Level-0 pixels outside of which nothing changed.
    before, after : dict of chunk to bytes
        The stored bytes of every chunk that changed, at all levels; None where nothing is stored.
    """

    box: Box
    before: dict[Chunk, bytes | None]
    after: dict[Chunk, bytes | None]

    @property
    def bytes(self) -> int:
        """Memory it takes, about."""
        stored = (*self.before.values(), *self.after.values())
        return sum(len(data) for data in stored if data is not None)


class MaskStore:
    """The painted mask of one slide. Reading is safe from any thread while another writes.

    The folder is made with the first stroke, not before.

    Parameters
    ----------
    group : Path
        Folder of the zarr group.
    shape : (height, width)
        Of the slide, level 0.
    classes : sequence of str
        Class names in the order of their values 1, 2, ...
    mpp : (y, x), optional
        Micrometres per level-0 pixel, for other readers.

    Attributes
    ----------
    shapes : list of (height, width)
        Of the levels; level i has pixels of ``2**i`` level-0 pixels.

    Raises
    ------
    MaskError
        When the folder holds the mask of another slide or of other classes, or is damaged.
    """

    def __init__(
        self,
        group: Path,
        shape: tuple[int, int],
        classes: Sequence[str],
        mpp: tuple[float, float] | None = None,
    ) -> None:
        self.folder = group
        self.shapes = level_shapes(shape)
        self._mpp = mpp
        self._files = ChunkFiles(group)
        self._lock = threading.RLock()
        self._stored_classes = self._known_classes(shape)
        self.use_classes(classes)
        if (group / _PENDING).is_file():
            self._finish_pending()

    @property
    def exists(self) -> bool:
        """Whether anything was ever painted."""
        return bool(self._stored_classes)

    @property
    def is_bare(self) -> bool:
        """Whether nothing is painted now."""
        return next(iter(self._files.stored(0)), None) is None

    def use_classes(self, classes: Sequence[str]) -> None:
        """Name the classes of the values from now on; those already stored must keep theirs.

        Raises
        ------
        MaskError
            When a stored value would change its class.
        """
        stored = self._stored_classes
        if tuple(classes[: len(stored)]) != stored:
            raise MaskError(
                f"The mask in {self.folder} was painted with the classes {', '.join(stored)}, not "
                f"{', '.join(classes)}; choose that class table or move the folder away."
            )
        self._classes = tuple(classes)

    # ---- reading -----------------------------------------------------------------------------

    def read(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return class values of a rectangle, uint8 (height, width); 0 outside the slide.

        Parameters
        ----------
        level : int
        box : (y, x, height, width)
            In pixels of that level.

        Raises
        ------
        MaskError
            When a stored chunk is damaged.
        """
        out = np.zeros(box[2:], np.uint8)
        for chunk in self._touched(level, box):
            with self._lock:
                data = self._files.get(chunk)
            if data is not None:
                inside, outside = common_part(chunk, box)
                out[outside] = self._decode(chunk, data)[inside]
        return out

    def frozen(self) -> dict[tuple[int, int], bytes]:
        """Return the stored bytes of every chunk of level 0 by (row, column), as they are now."""
        with self._lock:
            found = ((chunk, self._files.get(chunk)) for chunk in self._files.stored(0))
            return {chunk[1:]: data for chunk, data in found if data is not None}

    # ---- writing -----------------------------------------------------------------------------

    def write(
        self, level: int, box: Box, values: NDArray[np.uint8], changed: NDArray[np.bool_]
    ) -> Change | None:
        """Paint pixels of one level, which paints all the level-0 pixels under them.

        Parameters
        ----------
        level : int
        box : (y, x, height, width)
            In pixels of that level; what lies outside the slide is dropped.
        values : uint8 (height, width)
            Class values, 0 erases.
        changed : bool (height, width)
            The pixels to paint; the others keep what they are.

        Returns
        -------
        Change or None
            None when nothing changed.

        Raises
        ------
        MaskError
            When it cannot be written; nothing is changed then.
        """
        rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return None
        step = 2**level
        tight = (
            (box[0] + int(rows[0])) * step,
            (box[1] + int(columns[0])) * step,
            (int(rows[-1]) - int(rows[0]) + 1) * step,
            (int(columns[-1]) - int(columns[0]) + 1) * step,
        )
        with self._lock:
            before: dict[Chunk, bytes | None] = {}
            after: dict[Chunk, bytes | None] = {}
            for chunk in self._touched(0, tight):
                old = self._files.get(chunk)
                new = self._painted(chunk, old, level, box, values, changed)
                if new != old:
                    before[chunk], after[chunk] = old, new
            if not after:
                return None
            self._pool(before, after)
            change = Change(tight, before, after)
            self._apply(after, before)
        return change

    def restore(self, change: Change, undo: bool) -> None:
        """Take a change back (`undo`) or make it again; the last one not yet taken back first.

        Raises
        ------
        MaskError
            When it cannot be written; nothing is changed then.
        """
        new, old = (change.before, change.after) if undo else (change.after, change.before)
        with self._lock:
            self._apply(new, old)

    def _painted(
        self,
        chunk: Chunk,
        old: bytes | None,
        level: int,
        box: Box,
        values: NDArray[np.uint8],
        changed: NDArray[np.bool_],
    ) -> bytes | None:
        """Return the bytes of a level-0 chunk after painting."""
        step, here, under, offsets = 2**level, [], [], []
        for axis, side in enumerate(self.shapes[0]):
            start = chunk[axis + 1] * CHUNK
            low = max(start, box[axis] * step)
            high = min(start + CHUNK, (box[axis] + box[axis + 2]) * step, side)
            if low >= high:
                return old
            here.append(slice(low - start, high - start))
            under.append(slice(low // step - box[axis], -(-high // step) - box[axis]))
            offsets.append(low % step)
        mask = changed[under[0], under[1]]
        if not mask.any():
            return old
        pixels = self._decode(chunk, old)
        target = pixels[here[0], here[1]]
        mask = _stretched(mask, step, offsets, target.shape)
        paint = _stretched(values[under[0], under[1]], step, offsets, target.shape)
        np.copyto(target, paint, where=mask)
        return encode(pixels)

    def _pool(
        self,
        before: dict[Chunk, bytes | None],
        after: dict[Chunk, bytes | None],
        all_levels: bool = False,
    ) -> None:
        """Add the coarser chunks over those that changed, level after level.

        Up to the first that stays as it is, or through `all_levels`.
        """
        finer = set(after)
        for level in range(1, len(self.shapes)):
            under: dict[Chunk, list[Chunk]] = {}
            for chunk in finer:
                under.setdefault((level, chunk[1] // 2, chunk[2] // 2), []).append(chunk)
            finer = set()
            for coarse, fine in under.items():
                old = self._files.get(coarse)
                new = self._pooled(coarse, old, {chunk: after[chunk] for chunk in fine})
                if new != old or all_levels:
                    before[coarse], after[coarse] = old, new
                    finer.add(coarse)

    def _pooled(
        self, coarse: Chunk, old: bytes | None, fresh: dict[Chunk, bytes | None]
    ) -> bytes | None:
        """Return the bytes of a chunk after some of the four finer ones under it changed."""
        pixels, half = self._decode(coarse, old), CHUNK // 2
        for chunk, data in fresh.items():
            y, x = (chunk[1] % 2) * half, (chunk[2] % 2) * half
            fine = self._decode(chunk, data)
            rows = np.maximum(fine[::2], fine[1::2])
            np.maximum(rows[:, ::2], rows[:, 1::2], out=pixels[y : y + half, x : x + half])
        return encode(pixels)

    def _apply(self, new: dict[Chunk, bytes | None], old: dict[Chunk, bytes | None]) -> None:
        """Replace chunks, fine ones first; a note on the disk tells which until it is done."""
        pending = self.folder / _PENDING
        try:
            self._create()
            pending.write_text(json.dumps([chunk for chunk in new if chunk[0] == 0]), "utf-8")
            for chunk, data in new.items():
                self._files.put(chunk, data)
            pending.unlink(missing_ok=True)
        except OSError as error:
            self._take_back(old)
            raise MaskError(
                f"The strokes cannot be saved in {self.folder} ({error.strerror or error}); make "
                "that folder writable or make room on the disk. They stay on the canvas."
            ) from error

    def _take_back(self, old: dict[Chunk, bytes | None]) -> None:
        for chunk, data in old.items():
            try:
                if self._files.get(chunk) != data:
                    self._files.put(chunk, data)
            except OSError:
                continue  # the note that stays behind has the coarse levels made anew

    # ---- on the disk -------------------------------------------------------------------------

    def _create(self) -> None:
        if self._stored_classes == self._classes:
            return
        if self.exists:
            write_classes(self.folder, self._classes)
        else:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            part = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex}")
            create_group(part, self.shapes, self._classes, self._mpp)
            try:
                part.rename(self.folder)
            except OSError:
                shutil.rmtree(part, ignore_errors=True)
                raise
        self._stored_classes = self._classes

    def _known_classes(self, shape: tuple[int, int]) -> tuple[str, ...]:
        """Return the class names on the disk, none when nothing is stored."""
        if not (self.folder / "zarr.json").is_file():
            return ()
        try:
            stored, classes = read_classes(self.folder)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise MaskError(
                f"The painted mask in {self.folder} cannot be read because its zarr.json is "
                "damaged; restore it from a backup or move that folder away."
            ) from error
        if stored != tuple(shape):
            raise MaskError(
                f"The painted mask in {self.folder} belongs to another slide: it is "
                f"{stored[0]} x {stored[1]} pixels, the slide {shape[0]} x {shape[1]}; move that "
                "folder away."
            )
        return classes

    def _finish_pending(self) -> None:
        """After a crash: make the coarse levels over the chunks that were being written anew."""
        note = self.folder / _PENDING
        try:
            listed = json.loads(note.read_text("utf-8"))
            chunks = [(int(level), int(row), int(column)) for level, row, column in listed]
        except (OSError, ValueError, TypeError):
            # it broke off while the note was written, before the first chunk
            chunks = []
        after = {chunk: self._files.get(chunk) for chunk in chunks}
        self._pool({}, after, all_levels=True)
        try:
            for chunk, data in after.items():
                self._files.put(chunk, data)
            note.unlink(missing_ok=True)
        except OSError:
            return  # read-only: level 0 is right, and the next writer mends the others

    def _touched(self, level: int, box: Box) -> Iterable[Chunk]:
        height, width = self.shapes[level]
        y0, x0 = max(box[0], 0), max(box[1], 0)
        y1, x1 = min(box[0] + box[2], height), min(box[1] + box[3], width)
        if y0 >= y1 or x0 >= x1:
            return
        for row in range(y0 // CHUNK, -(-y1 // CHUNK)):
            for column in range(x0 // CHUNK, -(-x1 // CHUNK)):
                yield level, row, column

    def _decode(self, chunk: Chunk, data: bytes | None) -> NDArray[np.uint8]:
        try:
            return decode(data)
        except ValueError as error:
            raise MaskError(
                f"The painted mask is damaged: {self._files.path(chunk)} cannot be decoded; "
                "delete that file to go on without this piece, or restore it from a backup."
            ) from error


def _stretched(
    coarse: NDArray[Any], step: int, offsets: Sequence[int], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Repeat every pixel `step` times along both axes and cut out what is wanted."""
    if step == 1:
        return coarse
    fine = coarse.repeat(step, axis=0).repeat(step, axis=1)
    (y, x), (height, width) = offsets, shape
    return fine[y : y + height, x : x + width]
