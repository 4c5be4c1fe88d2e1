"""Where things are: level-0 boxes, the view, canvases and the context around a hole.

Pure numbers, no napari. Boxes are ``(y, x, height, width)`` in level-0 pixels. A layer whose pixels
are ``downsample`` level-0 pixels wide is placed so that pixel *edges* agree with level 0, hence
the half-pixel term in :func:`placement`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from napari_histoaug.patches import context_box

if TYPE_CHECKING:
    from napari.layers import Layer

Box = tuple[int, int, int, int]
Pair = tuple[float, float]

LARGEST = 4096
"""Longest side of a hole that is generated in one piece, in level-0 pixels."""


def placement(
    box: Sequence[float], downsample: Pair, mpp: Pair, origin: Pair = (0.0, 0.0)
) -> tuple[Pair, Pair]:
    """Scale and translate of a layer over ``box``.

    Parameters
    ----------
    box : (y, x, height, width)
        Level-0 pixels; only the corner is used.
    downsample : (dy, dx)
        Level-0 pixels per layer pixel.
    mpp : (y, x)
        World units per level-0 pixel.
    origin : (y, x)
        World position of the slide's first pixel: its layer's ``translate``.

    Returns
    -------
    scale, translate : pairs of float
        In world units. napari puts a pixel's *centre* at its index, so the centre of the first
        layer pixel lies ``(downsample - 1) / 2`` level-0 pixels beyond the box's corner.
    """
    scale = (downsample[0] * mpp[0], downsample[1] * mpp[1])
    translate = (
        origin[0] + (box[0] + (downsample[0] - 1) / 2) * mpp[0],
        origin[1] + (box[1] + (downsample[1] - 1) / 2) * mpp[1],
    )
    return scale, translate


def origin_of(layer: Layer) -> Pair:
    """World position (y, x) of the first pixel of a layer, which the user may have moved."""
    y, x = layer.translate[-2:]
    return float(y), float(x)


def view_box(center: Pair, zoom: float, canvas_size: Pair, mpp: Pair) -> Box:
    """The level-0 box that the canvas shows.

    Parameters
    ----------
    center : (y, x)
        Camera centre in world units.
    zoom : float
        Screen pixels per world unit.
    canvas_size : (height, width)
        Screen pixels.
    mpp : (y, x)
        World units per level-0 pixel.
    """
    low, size = [], []
    for c, screen, unit in zip(center, canvas_size, mpp, strict=True):
        half = screen / zoom / 2
        # world w lies in pixel floor(w / unit + 0.5)
        start = math.floor((c - half) / unit + 0.5)
        stop = math.ceil((c + half) / unit + 0.5)
        low.append(start)
        size.append(max(1, stop - start))
    return (low[0], low[1], size[0], size[1])


def intersect(a: Box, b: Box) -> Box | None:
    """The common part of two boxes, or None."""
    y0, x0 = max(a[0], b[0]), max(a[1], b[1])
    y1 = min(a[0] + a[2], b[0] + b[2])
    x1 = min(a[1] + a[3], b[1] + b[3])
    return (y0, x0, y1 - y0, x1 - x0) if y1 > y0 and x1 > x0 else None


def union(a: Box, b: Box) -> Box:
    """The smallest box around both."""
    y0, x0 = min(a[0], b[0]), min(a[1], b[1])
    y1 = max(a[0] + a[2], b[0] + b[2])
    x1 = max(a[1] + a[3], b[1] + b[3])
    return (y0, x0, y1 - y0, x1 - x0)


def slices(inner: Box, outer: Box) -> tuple[slice, slice]:
    """Where ``inner`` lies in an array that covers ``outer`` (inner must be inside)."""
    y, x = inner[0] - outer[0], inner[1] - outer[1]
    return slice(y, y + inner[2]), slice(x, x + inner[3])


def contains(outer: Box, inner: Box) -> bool:
    """Whether a box lies inside another one."""
    return intersect(outer, inner) == inner


class Window(NamedTuple):
    """A rectangle of a level whose pixels are ``2**level`` level-0 pixels wide."""

    level: int
    box: Box

    @property
    def step(self) -> int:
        """Level-0 pixels per pixel."""
        return int(2**self.level)

    @property
    def level_0(self) -> Box:
        """The level-0 pixels it covers; beyond the slide by less than a step."""
        y, x, height, width = (side * self.step for side in self.box)
        return y, x, height, width


MARGIN = 0.125
"""Room around the view on each side of a canvas, as a share of the view: small pans are free."""


def window_over(view: Box, shapes: Sequence[tuple[int, int]], limit: int) -> Window:
    """The window for a canvas over a view.

    Parameters
    ----------
    view : (y, x, height, width)
        Level-0 pixels, inside the slide.
    shapes : sequence of (height, width)
        Of levels that halve, finest first.
    limit : int
        Longest side in pixels, at least that of the last level.

    Returns
    -------
    Window
        Of the finest level at which the view has at most ``limit`` pixels a side, with room
        around the view as far as the limit and the slide allow.
    """
    for level in range(len(shapes)):
        spans = [_span(view, axis, level) for axis in (0, 1)]
        if max(stop - start for start, stop in spans) <= limit:
            break
    parts = [_widened(span, side, limit) for span, side in zip(spans, shapes[level], strict=True)]
    (y, y1), (x, x1) = parts
    return Window(level, (y, x, y1 - y, x1 - x))


def _span(view: Box, axis: int, level: int) -> tuple[int, int]:
    step = 2**level
    return view[axis] // step, -(-(view[axis] + view[axis + 2]) // step)


def _widened(span: tuple[int, int], side: int, limit: int) -> tuple[int, int]:
    start, stop = span
    room = int(min(MARGIN * (stop - start), (limit - (stop - start)) // 2))
    return max(start - room, 0), min(stop + room, side)


class Surroundings(NamedTuple):
    """Level-0 pixels to keep around a hole, and the smallest side of its box."""

    margin: int = 64
    smallest: int = 256


USUAL = Surroundings()


def group_holes(
    holes: Iterable[Box], shape: tuple[int, int], around: Surroundings = USUAL
) -> list[Box]:
    """Bounding boxes of the holes, those whose context boxes overlap joined into one.

    ``shape`` is the slide's, level 0. Joining matters: two boxes that saw each other's holes as
    tissue would not fit each other. A join that would exceed :data:`LARGEST` is not made.
    """
    groups = sorted(holes)
    while (pair := _near_pair(groups, shape, around)) is not None:
        i, j = pair
        groups[i] = union(groups[i], groups.pop(j))
    return groups


def _near_pair(
    groups: list[Box], shape: tuple[int, int], around: Surroundings
) -> tuple[int, int] | None:
    contexts = [context_box(group, shape, *around) for group in groups]
    for i, j in combinations(range(len(groups)), 2):
        small = max(union(groups[i], groups[j])[2:]) <= LARGEST
        if small and intersect(contexts[i], contexts[j]) is not None:
            return i, j
    return None
