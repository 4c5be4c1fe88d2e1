"""Stages: each fills a place of the run folder, whole or not at all, and says what it cost.

A place is keyed by what decides on its content, so the same stage again does nothing, and a changed
setting makes only what depends on it. What a killed stage left goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.errors import StudyError

KEY, COST, PART = "key.json", "cost.json", ".part"


def fill(place: Path, inputs: dict[str, Any], make: Callable[[Path], int], device: str) -> bool:
    """Fill a folder, unless it holds what the same inputs made.

    Parameters
    ----------
    place : Path
        The folder.
    inputs : dict
        JSON; everything that decides on the content.
    make : callable
        Given the folder to write into, which may hold what an interrupted attempt left; returns
        the number of things made.
    device : str
        For ``cost.json``.

    Returns
    -------
    bool
        Whether anything was done.
    """
    key = {"inputs": inputs, "sha256": digest(inputs)}
    if same(place / KEY, key):
        # Newer than what it depends on, for those who go by times.
        (place / KEY).touch()
        return False
    part = place.with_name(place.name + PART)
    if part.exists() and not same(part / KEY, key):
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    write_json(part / KEY, key)
    spent = _spent(part)
    wall, processor = time.monotonic(), time.process_time()
    try:
        count = make(part)
    finally:
        # An interrupted attempt costs, too.
        spent["seconds"] += time.monotonic() - wall
        spent["processor_seconds"] += time.process_time() - processor
        write_json(part / COST, {**spent, "device": device, "count": 0})
    write_json(part / COST, {**spent, "device": device, "count": count})
    if place.exists():
        shutil.rmtree(place)
    part.rename(place)
    return True


def _spent(part: Path) -> dict[str, float]:
    before = read_json(part / COST) if (part / COST).exists() else {}
    return {name: float(before.get(name, 0)) for name in ("seconds", "processor_seconds")}


def same(path: Path, key: dict[str, Any]) -> bool:
    """Whether a key is there and is this one."""
    return path.exists() and read_json(path)["sha256"] == key["sha256"]


def key_of(place: Path) -> str:
    """The hash of what made a place.

    Raises
    ------
    StudyError
        When the stage before has not been run.
    """
    if not (place / KEY).exists():
        raise StudyError(f"{place} is not there yet; run the stage {place.name} first.")
    return str(read_json(place / KEY)["sha256"])


def digest(content: Any) -> str:
    """Hash of something that JSON can hold, sha256 (hex)."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """Hash of files, by their names and contents; sha256 (hex)."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.name.encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def link(source: Path, target: Path) -> None:
    """Put a file in another folder as well, without a second copy where the disk can."""
    with suppress(FileNotFoundError):
        target.unlink()
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
