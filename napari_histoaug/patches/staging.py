"""How a run changes its folder: through a folder of its own, which the next run takes away.

The workers of a run that was killed may go on for a while, here or on other machines, and a run
that stood still may wake up when another has taken over. So nothing is changed in place: files are
made in the staging folder of the run and renamed from there to their place, and what has to go is
renamed into it. A run begins by renaming the staging folders of earlier ones. That is one stroke:
what they renamed before is whole, and from then on each of their renames fails.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_histoaug.patches.errors import PatchError

_RUN, _DEAD = "run-", "dead-"
#: Holds what was taken away. Nobody else makes it, so that it is missing from the staging folder of
#: a run that was shut out even when a writer that makes its own folders has made that one again.
_GONE = "gone"


def staging_folder(work: Path, token: str) -> Path:
    """Return where the run of a token stages what it changes, in the folder of the steps."""
    return work / f"{_RUN}{token}"


def begin_staging(work: Path, token: str) -> None:
    """Shut out all earlier runs, sweep away what they left half done, and begin ours.

    The caller holds the lock of the output folder.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    work.mkdir(parents=True, exist_ok=True)
    for old in list(work.glob(f"{_RUN}*")):
        _end(old)
    _sweep(work)
    folder = staging_folder(work, token)
    folder.mkdir()
    (folder / _GONE).mkdir()


def end_staging(work: Path, token: str) -> None:
    """Shut out whatever still works for a run that has ended, and sweep."""
    with suppress(OSError):  # not ours to change any more: the next run sweeps
        _end(staging_folder(work, token))
    _sweep(work)


@contextmanager
def whole(path: Path, staging: Path | None = None) -> Iterator[Path]:
    """Give a temporary name to write a file or folder under, and rename when all went well.

    Parameters
    ----------
    path : Path
        Its place. A file there is replaced. A folder there stays: it came there whole.
    staging : Path, optional
        Where it is made; beside its place when omitted.

    Raises
    ------
    PatchError
        When it cannot be written, or the run was shut out; nothing is left then.
    """
    part = (staging or path.parent) / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if staging is not None and _is_over(staging):
            raise _shut_out(path)
        if not path.is_dir():
            os.replace(part, path)
    except OSError as error:
        if staging is not None and _is_over(staging):
            raise _shut_out(path) from error
        raise PatchError(
            f"{path} cannot be written ({error.strerror or error}); choose a folder you may write "
            "to, on a disk with room."
        ) from error
    finally:
        _delete(part)


def take_away(path: Path, staging: Path) -> None:
    """Remove a file or folder at one stroke, if it is there.

    Raises
    ------
    PatchError
        When it cannot be removed, or the run was shut out.
    """
    gone = staging / _GONE / uuid.uuid4().hex
    try:
        os.replace(path, gone)
    except FileNotFoundError as error:
        if _is_over(staging):
            raise _shut_out(path) from error
    except OSError as error:
        raise PatchError(
            f"{path} cannot be removed ({error.strerror or error}); close what has it open, or "
            "choose another folder."
        ) from error
    _delete(gone)


def write_text(path: Path, text: str, staging: Path) -> None:
    """Write a text file whole, or leave what was there; raises as :func:`whole`."""
    with whole(path, staging) as part:
        part.write_text(text, encoding="utf-8")


def _is_over(staging: Path) -> bool:
    return not (staging / _GONE).is_dir()


def _shut_out(path: Path) -> PatchError:
    return PatchError(
        f"{path} was left as it is: another run has taken over the folder; wait until that is done."
    )


def _end(staging: Path) -> None:
    with suppress(FileNotFoundError):  # by another run
        os.replace(staging, staging.with_name(f"{_DEAD}{uuid.uuid4().hex}"))


def _sweep(work: Path) -> None:
    # A writer may still be at work in one of them; then the next sweep removes it.
    for dead in list(work.glob(f"{_DEAD}*")):
        shutil.rmtree(dead, ignore_errors=True)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # not there; or neither is its folder
            path.unlink()
