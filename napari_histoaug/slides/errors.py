"""What can go wrong with a slide."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError


class SlideError(HistoaugError):
    """A slide cannot be used; the message is one plain sentence for the user."""


class PixelError(SlideError):
    """A slide's pixels cannot be had faithfully or safely, by no reader (depth, inks, sizes)."""


class TileError(Exception):
    """A reader could not decode the pixels it was asked for (never shown as it is)."""
