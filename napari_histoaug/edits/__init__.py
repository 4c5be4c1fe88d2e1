"""What was changed: generated pixels over a slide, their provenance, undo."""

from __future__ import annotations

from napari_histoaug.edits.errors import EditError
from napari_histoaug.edits.record import EditRecord
from napari_histoaug.edits.store import EditStore

__all__ = ["EditError", "EditRecord", "EditStore"]
