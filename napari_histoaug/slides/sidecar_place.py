"""Where the sidecar of a slide is, what it holds, and whether it is complete."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import zarr

from napari_histoaug.slides import identity
from napari_histoaug.slides.metadata import ome_group
from napari_histoaug.slides.plan import (
    COARSEST,
    MOST_DECODED,
    TILE,
    PyramidLevel,
    needs_sidecar,
    plan_levels,
    slow_levels,
)
from napari_histoaug.slides.slide import Slide

_FORMAT = 1
_OURS = "napari-histoaug"


def cache_folder() -> Path:
    """Return the folder of all sidecars: ``pyramids`` in the user's cache."""
    return Path(platformdirs.user_cache_dir("napari-histoaug")) / "pyramids"


def find_sidecar(
    slide: Slide, folder: str | os.PathLike[str] | None = None, at_once: bool = True
) -> Path | None:
    """Return the complete sidecar of a slide, None when there is none.

    The content of a slide is hashed only when `folder` does not know this file yet but holds the
    sidecar of one with the same levels.

    Parameters
    ----------
    slide : Slide
    folder : path-like, optional
        Where sidecars are kept; by default :func:`cache_folder`.
    at_once : bool
        False: rather find none than hash a large slide now.
    """
    place = cache_folder() if folder is None else Path(folder).expanduser()
    if not any_like(slide, place):
        return None
    if not at_once and _noted_id(slide, place) is None and slide.known_sha256() is None:
        return None
    path = sidecar_path(slide, place)
    return path if is_complete(path) else None


def any_like(slide: Slide, folder: Path | None = None) -> bool:
    """Tell, without hashing, whether `folder` holds a sidecar of a slide with the same levels."""
    place = cache_folder() if folder is None else folder
    return any(place.glob(f"*-{_settings(slide)}.zarr"))


@dataclass(frozen=True)
class KeptLevel:
    """One level of a sidecar: its ``folder`` and its ``array`` of uint8 (c, y, x)."""

    folder: Path
    array: zarr.Array

    def tile(self, row: int, column: int) -> np.ndarray | None:
        """Return the part of a tile that lies on the slide, uint8 (height, width, 3).

        None when the cache has gone bad or was emptied, which is not the slide's failure.
        """
        y, x = row * TILE, column * TILE
        height, width = min(TILE, self.array.shape[1] - y), min(TILE, self.array.shape[2] - x)
        try:
            pixels = read_rgb(self.array, y, x, height, width)
        except (RuntimeError, ValueError, OSError):
            return None
        # zarr takes a missing chunk for a white one; ours are all there, the white ones too.
        there = (self.folder / "c" / "0" / str(row) / str(column)).exists()
        return pixels if there else None


def open_levels(slide: Slide, at_once: bool = True) -> dict[int, KeptLevel]:
    """Return what the slide's sidecar holds by served level; nothing when it has none."""
    path = find_sidecar(slide, at_once=at_once) if needs_sidecar(slide) else None
    if path is None:
        return {}
    group = zarr.open_group(str(path), mode="r")
    found = {int(name): KeptLevel(path / name, array) for name, array in group.arrays()}
    expected = {index: level.shape for index, level in sidecar_levels(slide).items()}
    # A folder somebody is deleting is as good as none.
    return found if {i: kept.array.shape[1:] for i, kept in found.items()} == expected else {}


def read_rgb(array: zarr.Array, y: int, x: int, height: int, width: int) -> np.ndarray:
    """Return uint8 (height, width, 3) from an array (c, y, x)."""
    planes = np.asarray(array[:, y : y + height, x : x + width])
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def sidecar_levels(slide: Slide) -> dict[int, PyramidLevel]:
    """Return the served levels a sidecar of this slide holds, by index.

    All averaged ones, and copies of stored ones of which a tile costs more than a quarter of what
    is allowed: such strips would be decoded again and again for the level made of them.
    """
    levels = plan_levels(slide)
    slow = slow_levels(slide, levels, MOST_DECODED // 4)
    return {i: level for i, level in enumerate(levels) if level.stored is None or slow[i]}


def sidecar_path(slide: Slide, folder: Path) -> Path:
    """Return where the sidecar of a slide is or would be: its salted id and a settings hash."""
    return folder / f"{_known_id(slide, folder)}-{_settings(slide)}.zarr"


def is_complete(path: Path) -> bool:
    """Tell whether a folder is a sidecar that was finished."""
    try:
        document = json.loads((path / "zarr.json").read_bytes())
        return bool(document["attributes"][_OURS]["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def root_document(slide: Slide, levels: dict[int, PyramidLevel], damaged: int) -> dict[str, Any]:
    """Return the root ``zarr.json``, whose presence says that the sidecar is complete."""
    document = ome_group({str(i): level for i, level in levels.items()}, slide.mpp)
    document["attributes"][_OURS] = {
        "complete": True,
        "format": _FORMAT,
        "slide_id": slide.slide_id(),
        "damaged_tiles": damaged,
    }
    return document


def _settings(slide: Slide) -> str:
    """Return 8 hex digits for the levels of a slide and for how a sidecar is made of them."""
    shapes = [level.shape for level in plan_levels(slide)]
    # How it was opened, but for the pixel size: what changes colours changes the means.
    opened = slide.__reduce__()[1][2:]
    settings = [_FORMAT, TILE, COARSEST, shapes, list(sidecar_levels(slide)), opened]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]


def _known_id(slide: Slide, folder: Path) -> str:
    """Return the slide's id, remembered in `folder` for as long as the file does not change.

    Hashing a slide of many gigabytes takes a minute, too long at every opening. What is
    remembered names no file: the key is salted like the id itself.
    """
    known = _noted_id(slide, folder)
    if known is not None:
        return known
    slide_id = slide.slide_id()
    note = _note(slide, folder)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_name(f"{note.name}.{os.getpid()}")
        part.write_text(slide_id, "ascii")
        part.replace(note)
    except OSError:
        pass  # only a shortcut
    return slide_id


def _noted_id(slide: Slide, folder: Path) -> str | None:
    try:
        known = _note(slide, folder).read_text("ascii")
    except (OSError, ValueError):
        return None
    return known if len(known) == 16 else None


def _note(slide: Slide, folder: Path) -> Path:
    fingerprint = hashlib.sha256(repr(slide.fingerprint).encode()).hexdigest()
    return folder / "known" / identity.salted_id(fingerprint)
