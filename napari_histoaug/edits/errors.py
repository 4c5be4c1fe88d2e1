"""What can go wrong with edits."""

from __future__ import annotations

import errno
from pathlib import Path

from napari_histoaug.errors import HistoaugError


class EditError(HistoaugError):
    """Edits cannot be kept or shown; the message is one plain sentence for the user."""


def cannot_write(folder: Path, error: OSError) -> EditError:
    """Return the sentence for a write that failed; nothing of it was kept."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return EditError(
            f"The disk is full, so the edit was not kept in {folder}; free some space and accept "
            "it again."
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return EditError(
            f"You are not allowed to write to {folder}, so the edit was not kept; ask for write "
            "permission or choose another folder for the edits."
        )
    reason = error.strerror or type(error).__name__
    return EditError(f"The edit could not be kept in {folder} ({reason}); check that disk.")
