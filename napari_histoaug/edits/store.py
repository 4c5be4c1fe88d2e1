"""The accepted edits of one slide: kept beside it, never in it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_histoaug.edits import crops, location, painting
from napari_histoaug.edits.errors import EditError
from napari_histoaug.edits.journal import Event, Journal
from napari_histoaug.edits.record import EditRecord
from napari_histoaug.errors import HistoaugError
from napari_histoaug.slides import Slide
from napari_histoaug.slides.cache import ArrayCache

_JOURNAL, _CROPS = "journal.jsonl", "edits"
_CACHE_BYTES = 256 * 2**20


class EditStore:
    """Generated pixels over a slide, with undo; an overlay for the slide's pyramid.

    Open one with :meth:`open`. Reading is safe from any thread while another accepts or undoes.
    A folder on the disk is made with the first accepted edit, not before.
    """

    def __init__(self, slide: Slide, folders: list[Path] | None) -> None:
        self._slide = slide
        self._folders = folders
        self._folder: Path | None = None
        self._journal: Journal | None = None
        self._settled = False
        self._active: tuple[EditRecord, ...] = ()
        self._undone: tuple[EditRecord, ...] = ()
        self._known: set[str] = set()
        self._lock = threading.RLock()
        self._cache = ArrayCache(_CACHE_BYTES)

    @classmethod
    def open(
        cls,
        slide: Slide,
        folder: str | os.PathLike[str] | None = None,
        at_once: bool = True,
    ) -> EditStore:
        """Open the edits of a slide, none at first.

        Parameters
        ----------
        slide : Slide
        folder : path-like, optional
            Where the edits are kept. By default ``<slide stem>.histoaug`` beside the slide, or the
            user's data folder when the slide's own cannot be written.
        at_once : bool
            False: a large slide is not hashed here, as it must be when edits may be there and its
            file is new to us. Then the store is not `settled`, and shows none before it is.

        Raises
        ------
        EditError
            When edits are there but belong to another slide or are damaged.
        """
        place = None if folder is None else Path(folder).expanduser()
        store = cls(slide, None if place is None else [place])
        if at_once or not location.may_exist(slide, place) or slide.known_sha256() is not None:
            store.settle()
        return store

    @property
    def settled(self) -> bool:
        """Whether it is known which edits this slide has."""
        return self._settled

    def settle(self) -> None:
        """Find the edits of this slide, which may take reading all of it; in any thread.

        Raises
        ------
        EditError
            As for :meth:`open`.
        """
        with self._lock:
            if self._settled:
                return
            existing = self._existing()
            if existing is not None:
                location.check_belongs(existing, self._slide)
                self._folder, self._journal = existing, Journal(existing / _JOURNAL)
                self._catch_up()
                self._check_complete()
            self._settled = True

    def _existing(self) -> Path | None:
        if self._folders is None:
            return location.find_existing(self._slide)
        return self._folders[0] if location.is_store(self._folders[0]) else None

    @property
    def folder(self) -> Path:
        """Where the edits are kept, or would be kept with the first one."""
        if self._folder is not None:
            return self._folder
        return self._folders[0] if self._folders else location.beside(self._slide)

    @property
    def edits(self) -> list[EditRecord]:
        """The edits in force, oldest first."""
        return list(self._active)

    @property
    def undone(self) -> list[EditRecord]:
        """The edits that were taken back and can be put in place again, the next one last."""
        return list(self._undone)

    @property
    def can_undo(self) -> bool:
        """Whether :meth:`undo` would take something back."""
        return bool(self._active)

    @property
    def can_redo(self) -> bool:
        """Whether :meth:`redo` would bring something back."""
        return bool(self._undone)

    def accept(
        self,
        image: np.ndarray,
        changed: np.ndarray,
        record: EditRecord,
        hole: np.ndarray | None = None,
    ) -> EditRecord:
        """Keep generated pixels.

        Parameters
        ----------
        image : uint8 (height, width, 3)
            Level-0 pixels of ``record.box``.
        changed : bool (height, width)
            True where pixels were generated; only these are ever shown.
        record : EditRecord
            Their provenance.
        hole : bool or uint8 (height, width), optional
            The mask that was painted, for exports, or the class values of a synthesised region;
            `changed` when omitted.

        Returns
        -------
        EditRecord
            `record`.

        Raises
        ------
        EditError
            When the edit does not fit this slide, or could not be written (nothing is kept then).
        """
        self.settle()
        image, changed = self._checked(image, changed, record)
        painted = changed if hole is None else self._checked_hole(hole, changed)
        with self._lock:
            folder, journal = self._on_disk()
            self._catch_up()
            if record.id in self._known:
                raise EditError(f"Edit {record.id} was accepted before; give it a new id.")
            path = crops.write_crop(folder / _CROPS, record, image, changed, painted)
            try:
                journal.append("accept", record.id, record)
            except EditError:
                shutil.rmtree(path, ignore_errors=True)
                raise
            self._apply(Event("accept", record.id, record))
        return record

    def accept_all(
        self, edits: Sequence[tuple[np.ndarray, np.ndarray, EditRecord, np.ndarray]]
    ) -> list[EditRecord]:
        """Keep several edits, or none: (image, changed, record, hole) each, as for :meth:`accept`.

        Raises
        ------
        EditError
            As for :meth:`accept`; those kept before are taken back.
        """
        records: list[EditRecord] = []
        for image, changed, record, hole in edits:
            try:
                records.append(self.accept(image, changed, record, hole))
            except HistoaugError:
                for _ in records:
                    self.undo()
                raise
        return records

    def undo(self) -> EditRecord | None:
        """Take the last edit back; return its record, None when there is none."""
        return self._step("undo")

    def redo(self) -> EditRecord | None:
        """Bring the last undone edit back; return its record, None when there is none."""
        return self._step("redo")

    def paste(
        self, block: np.ndarray, y: int, x: int, downsample: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        """Paint the edits into a block of slide pixels, later ones over earlier ones.

        Parameters
        ----------
        block : uint8 (H, W, 3)
            Changed in place.
        y, x : int
            Position of ``block[0, 0]`` in pixels of the level.
        downsample : (dy, dx)
            Of the level. At 1 generated bytes are copied; elsewhere their area mean is blended in
            by the share of the pixel they cover, the same whichever block is read.
        """
        self._paste(self._active, block, (y, x), (float(downsample[0]), float(downsample[1])))

    def _paste(
        self,
        records: Sequence[EditRecord],
        block: np.ndarray,
        corner: tuple[int, int],
        scale: tuple[float, float],
    ) -> None:
        place = (*corner, *block.shape[:2])
        for record in records:
            box = record.box if scale == (1.0, 1.0) else painting.box_at(record.box, scale)
            common = painting.overlap(box, place)
            if common is None:
                continue
            view = block[painting.within(common, place)]
            pixels = self._pixels(record, scale)[painting.within(common, box)]
            if scale == (1.0, 1.0):
                painting.copy_onto(view, pixels)
            else:
                painting.blend_onto(view, pixels)

    def read_before(self, record: EditRecord) -> np.ndarray:
        """Return an edit's box as it was without it and later ones, uint8 (height, width, 3)."""
        block = self._slide.read_block(0, *record.box)
        earlier = list(self._active)
        if record in earlier:
            earlier = earlier[: earlier.index(record)]
        self._paste(earlier, block, record.box[:2], (1.0, 1.0))
        return block

    def read_edit(self, record: EditRecord) -> tuple[np.ndarray, np.ndarray]:
        """Return an edit's own pixels, uint8 (height, width, 3), and where they were generated.

        Also of an edit that was taken back.
        """
        pixels = self._pixels(record, (1.0, 1.0))
        return pixels[..., :3], pixels[..., 3] != 0

    def read_block(self, slide: Slide, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return level-0 pixels with the edits in them, uint8 (height, width, 3)."""
        block = slide.read_block(0, y, x, height, width)
        self.paste(block, y, x)
        return block

    def synthetic(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Return bool (height, width): True where a level-0 pixel is generated."""
        out = np.zeros((height, width), bool)
        place = (y, x, height, width)
        for record in self._active:
            common = painting.overlap(record.box, place)
            if common is not None:
                pixels = self._pixels(record, (1.0, 1.0))[painting.within(common, record.box)]
                out[painting.within(common, place)] |= pixels[..., 3] != 0
        return out

    def painted(self, record: EditRecord) -> np.ndarray:
        """Return the mask that was painted for an edit, bool (height, width) of its box."""
        return self.painted_map(record) != 0

    def painted_map(self, record: EditRecord) -> np.ndarray:
        """Return the class values that were painted for an edit, uint8 (height, width).

        Those of ``record.classes``; 0 and 1 for an edit that fills a hole.
        """
        return crops.read_painted(self.folder / _CROPS, record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EditStore) and self.folder == other.folder

    def __hash__(self) -> int:
        return hash(self._slide.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return EditStore.open, (self._slide, self.folder if self._folders else None)

    def _step(self, event: str) -> EditRecord | None:
        self.settle()
        with self._lock:
            self._catch_up()
            source = self._active if event == "undo" else self._undone
            if not source or self._journal is None:
                return None
            record = source[-1]
            self._journal.append("undo" if event == "undo" else "redo", record.id)
            self._apply(Event(event, record.id, None))
        return record

    def _pixels(self, record: EditRecord, scale: tuple[float, float]) -> np.ndarray:
        if scale == (1.0, 1.0):
            return self._cache.get(
                (record.id, scale), lambda: crops.read_crop(self.folder / _CROPS, record)
            )
        return self._cache.get(
            (record.id, scale),
            lambda: painting.coarsen(self._pixels(record, (1.0, 1.0)), record.box, scale),
        )

    def _on_disk(self) -> tuple[Path, Journal]:
        """Return the folder and its journal, made now when this is the first edit."""
        if self._folder is None or self._journal is None:
            folders = self._folders or [
                location.beside(self._slide),
                location.among_user_data(self._slide),
            ]
            existing = next((folder for folder in folders if location.is_store(folder)), None)
            if existing is not None:  # another window was first
                location.check_belongs(existing, self._slide)
            self._folder = existing or location.create(folders, self._slide)
            self._journal = Journal(self._folder / _JOURNAL)
        return self._folder, self._journal

    def _catch_up(self) -> None:
        """Apply what the journal says beyond what we know, by us or by another window."""
        if self._journal is not None:
            for event in self._journal.new_events():
                self._apply(event)

    def _apply(self, event: Event) -> None:
        if event.record is not None:
            self._known.add(event.id)
            self._active, self._undone = (*self._active, event.record), ()
        elif event.event == "undo" and self._active and self._active[-1].id == event.id:
            self._undone = (*self._undone, self._active[-1])
            self._active = self._active[:-1]
        elif event.event == "redo" and self._undone and self._undone[-1].id == event.id:
            self._active = (*self._active, self._undone[-1])
            self._undone = self._undone[:-1]
        else:
            raise EditError(
                f"The journal in {self.folder} takes back edit {event.id}, which is not the last "
                "one; restore it from a backup or move that folder away."
            )

    def _check_complete(self) -> None:
        for record in self._active:
            if not (crops.crop_path(self.folder / _CROPS, record) / "zarr.json").is_file():
                raise EditError(
                    f"The pixels of edit {record.id} are missing from {self.folder}; restore that "
                    "folder from a backup or move it away to see the slide without edits."
                )

    def _checked(
        self, image: np.ndarray, changed: np.ndarray, record: EditRecord
    ) -> tuple[np.ndarray, np.ndarray]:
        y, x, height, width = record.box
        rows, columns = self._slide.levels[0].shape
        if image.shape != (height, width, 3) or changed.shape != (height, width):
            raise EditError(
                f"The edit's image {image.shape} and mask {changed.shape} do not fit its box of "
                f"{height} x {width} pixels; generate it again."
            )
        if image.dtype != np.uint8:
            raise EditError(f"The edit's image is {image.dtype}, not uint8; generate it again.")
        if min(y, x) < 0 or y + height > rows or x + width > columns:
            raise EditError(
                f"The edit's box {record.box} does not lie inside the slide of {rows} x {columns} "
                "pixels; paint inside the slide."
            )
        if not changed.any():
            raise EditError("The edit changes no pixel; paint a mask first.")
        if record.slide_sha256 != self._slide.sha256():
            raise EditError(
                f"The edit was made on another slide than {self._slide.path.name}; open that one."
            )
        return image, changed != 0

    @staticmethod
    def _checked_hole(hole: np.ndarray, changed: np.ndarray) -> np.ndarray:
        painted = np.asarray(hole).astype(np.uint8)
        if painted.shape != changed.shape or (painted[~changed] != 0).any():
            raise EditError(
                "The painted mask does not lie inside the generated pixels; generate it again."
            )
        return painted
