"""Who a slide is, without saying its name: the hash of its bytes and a salted short id."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

from napari_histoaug.errors import Cancelled
from napari_histoaug.slides.errors import SlideError

_SERIES_TAG = b"\x20\x00\x0e\x00UI"
#: Files of so many bytes take long enough to hash that the result is kept.
_LARGE = 32 * 2**20
_SETTLED_SECONDS = 10


def content_sha256(path: Path, cancelled: Callable[[], bool] | None = None) -> str:
    """Return the SHA-256, in hex, of every byte that makes up a slide.

    One file: its bytes. A format of several files (MRXS, VMS, DICOM series, OME-Zarr folder): the
    bytes of all of them in a fixed order. The hash of a large file is remembered until the file
    changes, under a salted name that does not tell which file it is.

    Raises
    ------
    Cancelled
        When `cancelled`, asked every mebibyte, said so.
    SlideError
        When one of them cannot be read.
    """
    digest = hashlib.sha256()
    try:
        parts = list(parts_of(path))
        note = _note(path) if parts == [path] else None
        known = _remembered(note)
        if known is not None:
            return known
        for part in parts:
            with part.open("rb") as file:
                while block := file.read(2**20):
                    if cancelled is not None and cancelled():
                        raise Cancelled("Hashing the slide was stopped.")
                    digest.update(block)
    except OSError as error:
        raise SlideError(
            f"{path.name} could not be read to the end ({error.strerror}); "
            "check the disk or the network drive it is on."
        ) from error
    if note is not None:
        _remember(note, digest.hexdigest())
    return digest.hexdigest()


def known_sha256(path: Path) -> str | None:
    """Return what :func:`content_sha256` would, if that takes no long reading; else None.

    It takes none when the slide is small, or its hash remembered.
    """
    try:
        parts = list(parts_of(path))
        if sum(part.stat().st_size for part in parts) >= _LARGE:
            return _remembered(_note(path)) if parts == [path] else None
    except OSError:
        return None
    return content_sha256(path)


def salted_id(sha256: str) -> str:
    """Return 16 hex digits that name a slide to this user only (HMAC of its hash)."""
    return hmac.new(_salt(), sha256.encode("ascii"), hashlib.sha256).hexdigest()[:16]


def parts_of(path: Path) -> Iterable[Path]:
    """Return the files that make up a slide, in a fixed order.

    Raises
    ------
    OSError
        When they cannot be listed.
    """
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        return [path, *sorted(part for part in folder.rglob("*") if part.is_file())]
    if suffix in {".vms", ".vmu"}:
        named = re.findall(r"=\s*([^\r\n=]+)", path.read_text("latin-1"))
        # Names only: the index may not point out of its folder.
        files = {path.parent / Path(name.strip().replace("\\", "/")).name for name in named}
        return [path, *sorted(part for part in files if part.is_file())]
    series = _dicom_series(path)
    if series is not None:
        siblings = (part for part in path.parent.iterdir() if part.is_file())
        return sorted(part for part in siblings if _dicom_series(part) == series)
    return [path]


def _dicom_series(path: Path) -> bytes | None:
    """Return the series UID of a DICOM file; other files give None."""
    with path.open("rb") as file:
        start = file.read(64 * 1024)
    at = start.find(_SERIES_TAG)
    if start[128:132] != b"DICM" or at < 0:
        return None
    length = int.from_bytes(start[at + 6 : at + 8], "little")
    return start[at + 8 : at + 8 + length]


def _note(path: Path) -> Path | None:
    """Return where the hash of a large file is remembered; None for small or fresh files."""
    status = path.stat()
    # A file still being written may change again within its clock's tick.
    if status.st_size < _LARGE or time.time() - status.st_mtime < _SETTLED_SECONDS:
        return None
    facts = (path.resolve(), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    name = hmac.new(_salt(), repr(facts).encode("utf-8", "surrogateescape"), hashlib.sha256)
    folder = Path(platformdirs.user_data_dir("napari-histoaug")) / "hashes"
    return folder / name.hexdigest()[:32]


def _remembered(note: Path | None) -> str | None:
    if note is None:
        return None
    try:
        text = note.read_text("ascii")
    except (OSError, ValueError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _remember(note: Path, sha256: str) -> None:
    fresh = note.with_name(f"{note.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(sha256, "ascii")
        fresh.replace(note)
    except OSError:
        return  # only the time of the next hashing is lost


def _salt() -> bytes:
    """Return this user's random salt, made at first use."""
    path = Path(platformdirs.user_config_dir("napari-histoaug")) / "salt"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"salt.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
            _publish(fresh, path)
        return path.read_bytes()
    except OSError as error:
        raise SlideError(
            f"The private key that anonymises slide names cannot be kept in {path.parent} "
            f"({error.strerror}); make that folder writable."
        ) from error


def _publish(fresh: Path, path: Path) -> None:
    """Give a finished file its name unless another process was first."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    except OSError:  # no hard links on this file system: the last writer wins
        fresh.replace(path)
        return
    fresh.unlink()
