"""What can go wrong with patches."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError


class PatchError(HistoaugError):
    """Patches that cannot be planned, read or written; the message is one plain sentence."""
