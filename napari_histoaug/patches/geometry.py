"""Boxes around holes: integers, (y, x, height, width), level-0 pixels."""

from __future__ import annotations

Box = tuple[int, int, int, int]


def context_box(
    hole_box: Box, shape: tuple[int, int], margin: int = 64, smallest: int = 256
) -> Box:
    """Return the box to read around a hole.

    Parameters
    ----------
    hole_box : tuple of int
        (y, x, height, width) of the hole.
    shape : tuple of int
        (height, width) of the slide.
    margin : int
        Pixels of surroundings on every side, as far as the slide has them.
    smallest : int
        Smallest side, as far as the slide has it; a small vessel needs to be seen in its tissue.

    Returns
    -------
    tuple of int
        (y, x, height, width) inside the slide.
    """
    y, height = _span(hole_box[0], hole_box[2], shape[0], margin, smallest)
    x, width = _span(hole_box[1], hole_box[3], shape[1], margin, smallest)
    return y, x, height, width


def _span(start: int, size: int, limit: int, margin: int, smallest: int) -> tuple[int, int]:
    grow = max(margin, -(-(smallest - size) // 2))
    low, high = start - grow, start + size + grow
    # At an edge the box moves inwards before it shrinks, so that the context stays as large.
    if low < 0:
        low, high = 0, max(high, min(smallest, limit))
    if high > limit:
        low, high = min(low, max(limit - smallest, 0)), limit
    return low, high - low
