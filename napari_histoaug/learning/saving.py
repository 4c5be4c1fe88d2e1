"""Checkpoints on disk: complete or absent, whenever the machine stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from napari_histoaug.errors import HistoaugError

KEPT = 2
PART = ".part"


class TrainingError(HistoaugError):
    """Training that cannot go on, and what was kept."""


def checkpoints(out: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    return sorted(p for p in out.glob("checkpoint-*") if p.suffix != PART)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk itself."""
    if os.name == "nt" and path.is_dir():
        return  # Windows writes names through
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told_when_full(out: Path) -> Iterator[None]:
    """Turn a failed write into a sentence that names the last complete checkpoint.

    Raises
    ------
    TrainingError
        When the disk is full, or a file cannot be written for another reason.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        kept = checkpoints(out)
        rest = f"the last complete checkpoint is {kept[-1].name}" if kept else "none is saved yet"
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise TrainingError(
            f"{out} cannot be written to ({why}); free some space and run the same command again; "
            f"{rest}."
        ) from error


def write_checkpoint(out: Path, step: int, write: Callable[[Path], None]) -> None:
    """Write a checkpoint under a temporary name, sync it, rename it, and drop older ones.

    Parameters
    ----------
    out : Path
        The run's folder.
    step : int
        Names the checkpoint; one that is there already is left as it is.
    write : callable
        Fills the folder that it is given.

    Raises
    ------
    TrainingError
        When it cannot be written; nothing half is left, and the last one is untouched.
    """
    folder = out / f"checkpoint-{step:08d}"
    if folder.exists():
        return
    temporary = folder.with_name(folder.name + PART)
    with told_when_full(out):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            write(temporary)
            for path in [*temporary.iterdir(), temporary]:
                sync(path)
            os.replace(temporary, folder)
            sync(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    for old in checkpoints(out)[:-KEPT]:
        # A half deleted checkpoint shall not look like a whole one.
        gone = old.with_name(old.name + PART)
        with suppress(OSError):
            os.replace(old, gone)
            shutil.rmtree(gone)


def sweep(out: Path) -> None:
    """Remove what a killed run left half written or half deleted."""
    for path in out.glob(f"checkpoint-*{PART}"):
        shutil.rmtree(path, ignore_errors=True)
