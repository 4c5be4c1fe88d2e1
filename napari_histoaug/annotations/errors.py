"""The errors of the annotations room."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError


class AnnotationError(HistoaugError):
    """An annotation file, a feature in it, or a class table that cannot be used as it is."""


class QuPathWarning(UserWarning):
    """Something in a written file that QuPath would refuse or change."""
