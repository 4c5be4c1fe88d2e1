"""What a user can cause when something leaves."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError


class ExportError(HistoaugError):
    """Something that cannot be exported."""
