"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_histoaug.exports.errors import ExportError

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]


def nobody(done: int, total: int) -> None:
    """Tell nobody how far it is."""


def never() -> bool:
    """Nobody cancels."""
    return False


@contextmanager
def whole(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary name beside the final one, and rename when all went well.

    Parameters
    ----------
    path : Path
        Where it shall be; its folder is made.
    replace : bool
        Whether a file of that name is replaced.

    Raises
    ------
    ExportError
        When there is something already, or it cannot be written.
    """
    if path.exists() and not replace:
        raise ExportError(f"{path} exists already; move it away or choose another folder.")
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def unwritable(folder: Path, error: OSError) -> ExportError:
    """Return the sentence for what cannot be written."""
    return ExportError(
        f"The export cannot be written to {folder} ({error.strerror or error}); choose a folder "
        "that you may write to, on a disk with room."
    )
