"""Where a slide's edits live: beside it, or among the user's own data."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path

import platformdirs

from napari_histoaug.edits.errors import EditError, cannot_write
from napari_histoaug.slides import Slide

_MARKER, _PAINTED = "store.json", "painted.zarr"
_KEY_BYTES = 2**20
_FORMAT = {"format": "histoaug-edits", "version": 1}


def beside(slide: Slide) -> Path:
    """Return the folder next to the slide; for one behind an address, that among user data."""
    if _is_remote(slide):
        return among_user_data(slide)
    return slide.path.parent / f"{slide.name}.histoaug"


def among_user_data(slide: Slide) -> Path:
    """Return the folder under the user's data, named by the slide's hash."""
    return _user_edits() / slide.sha256()


def painted_mask(slide: Slide) -> Path:
    """Return the folder of the slide's painted mask, which need not be there yet.

    Beside the slide, or among the user's data where that cannot be written. Nothing large is
    hashed: a stroke shall not wait for it.
    """
    if not _is_remote(slide):
        near = beside(slide) / _PAINTED
        place = beside(slide) if beside(slide).is_dir() else slide.path.parent
        if near.is_dir() or os.access(place, os.W_OK):
            return near
    return _user_edits().parent / "masks" / _quick_key(slide) / _PAINTED


def find_existing(slide: Slide) -> Path | None:
    """Return the folder that already holds this slide's edits, one we may write to first."""
    found = [beside(slide)] if is_store(beside(slide)) else []
    # Hashing a large slide takes seconds, so only when somebody's edits may be this slide's.
    if not _is_remote(slide) and _may_be_there(slide) and is_store(among_user_data(slide)):
        found.append(among_user_data(slide))
    found.sort(key=lambda folder: not os.access(folder, os.W_OK))
    return found[0] if found else None


def may_exist(slide: Slide, folder: Path | None) -> bool:
    """Tell, without hashing the slide, whether some folder may hold its edits."""
    if folder is not None:
        return is_store(folder)
    return is_store(beside(slide)) or (not _is_remote(slide) and _may_be_there(slide))


def is_store(folder: Path) -> bool:
    """Tell whether a folder holds edits."""
    try:
        return (folder / _MARKER).is_file()
    except PermissionError:
        return False


def check_belongs(folder: Path, slide: Slide) -> None:
    """Check that a folder's edits were made on this very slide.

    Raises
    ------
    EditError
        When they were made on other bytes, or the folder is of another kind.
    """
    try:
        document = json.loads((folder / _MARKER).read_text("utf-8"))
        version, sha256 = document["version"], document["slide_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EditError(
            f"The edits in {folder} cannot be read because {_MARKER} is damaged; restore it from a "
            "backup or move that folder away."
        ) from error
    if version != _FORMAT["version"]:
        raise EditError(
            f"The edits in {folder} were written by a newer version; update napari-histoaug."
        )
    size = document.get("slide_bytes")
    # Another size is another slide, known without hashing it.
    other_size = None not in (size, _size(slide)) and size != _size(slide)
    if other_size or sha256 != slide.sha256():
        raise EditError(
            f"The edits in {folder} belong to another slide: {slide.path.name} has other bytes "
            "than the file they were made on; move that folder away or open the right slide."
        )


def create(folders: list[Path], slide: Slide) -> Path:
    """Make an empty store in the first of several folders that lets us.

    Raises
    ------
    EditError
        When none does.
    """
    problem: OSError | None = None
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{_MARKER}.{uuid.uuid4().hex}"
            document = {
                **_FORMAT,
                "slide_sha256": slide.sha256(),
                "slide_id": slide.slide_id(),
                "slide_bytes": _size(slide),
            }
            part.write_text(json.dumps(document), "utf-8")
            part.replace(folder / _MARKER)
            return folder
        except OSError as error:
            problem = error
    if problem is None or len(folders) == 1:
        raise cannot_write(folders[0], problem or OSError())
    raise EditError(
        f"Edits can be kept neither beside the slide ({folders[0].parent}) nor in your own data "
        f"folder ({folders[-1].parent}), {problem.strerror or problem}; make one of them writable."
    )


def _is_remote(slide: Slide) -> bool:
    # Not by its class: zarr, which that module imports, takes a while to load.
    return hasattr(slide, "address")


def _size(slide: Slide) -> int | None:
    """Return the bytes of a slide that is one file; None for folders and addresses."""
    return slide.path.stat().st_size if slide.path.is_file() else None


def _quick_key(slide: Slide) -> str:
    """Return a name for a slide by its size, its beginning and its end."""
    size = _size(slide)
    if size is None:
        return slide.sha256()
    digest = hashlib.sha256(str(size).encode())
    with slide.path.open("rb") as file:
        digest.update(file.read(_KEY_BYTES))
        file.seek(max(size - _KEY_BYTES, 0))
        digest.update(file.read())
    return digest.hexdigest()


def _may_be_there(slide: Slide) -> bool:
    """Tell whether some store among the user's data is of a slide of this size, or of any."""
    size = _size(slide)
    for marker in _user_edits().glob(f"*/{_MARKER}"):
        try:
            known = json.loads(marker.read_text("utf-8")).get("slide_bytes")
        except (OSError, ValueError, AttributeError):
            known = None
        if None in (size, known) or size == known:
            return True
    return False


def _user_edits() -> Path:
    return Path(platformdirs.user_data_dir("napari-histoaug")) / "edits"
