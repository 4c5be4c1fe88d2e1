"""The errors of the annotations room."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError


class AnnotationError(HistoaugError):
    """An annotation file, a feature in it, or a class table that cannot be used as it is."""


class WrongSlideError(AnnotationError):
    """Annotations that do not seem to belong to the slide."""


class FrameError(AnnotationError):
    """Coordinates that fit the slide in two ways: a person has to say which is meant.

    Attributes
    ----------
    choices : tuple of str
        The names to choose from, for ``frame=`` of
        :func:`~napari_histoaug.annotations.place_on`.
    """

    def __init__(self, message: str, choices: tuple[str, ...]) -> None:
        super().__init__(message)
        self.choices = choices


class AnnotationWarning(UserWarning):
    """Features of a file that are broken and left out."""


class QuPathWarning(UserWarning):
    """Something in a written file that QuPath would refuse or change."""
