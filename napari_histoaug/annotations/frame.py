"""Where the coordinates of an annotation file count from."""

from __future__ import annotations

from typing import NamedTuple


class Frame(NamedTuple):
    """A coordinate frame: what to add to (x, y) of the file to be in the slide's level 0.

    Attributes
    ----------
    name : str
        ``slide``, or ``bounds``: QuPath crops slides whose format states where the tissue is
        (MIRAX, Leica) and then counts from the corner of that rectangle.
    dy, dx : float
        The corner, level-0 pixels.
    """

    name: str
    dy: float = 0.0
    dx: float = 0.0


SLIDE_FRAME = Frame("slide")
