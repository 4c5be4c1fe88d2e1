"""Random holes: vessel-shaped outlines, brush strokes, boxes and shapes taken from labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray
from scipy import ndimage

from napari_histoaug.masks.morphology import dilate

BoolMask = NDArray[np.bool_]
Rng = np.random.Generator


def vessel_outline(
    rng: Rng,
    shape: tuple[int, int],
    radius: float,
    centre: tuple[float, float] | None = None,
    elongation: tuple[float, float] = (1.0, 2.2),
    roughness: float = 0.12,
) -> BoolMask:
    """Draw a smooth closed blob, as a vessel cut across or aslant looks.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (height, width) of the mask.
    radius : float
        Radius in pixels of the circle with the same area (before the mask's edge cuts it).
    centre : tuple of float, optional
        (row, column) on the pixel grid (pixel 0 spans 0 to 1); the middle by default.
    elongation : tuple of float
        Range of the ratio of the long to the short axis.
    roughness : float
        Relative size of the first harmonic; higher ones fall off, so that the outline is smooth.

    Returns
    -------
    bool (height, width)
        True inside; one connected piece without holes.
    """
    cy, cx = centre if centre is not None else (shape[0] / 2, shape[1] / 2)
    stretch = math.sqrt(rng.uniform(*elongation))
    turn = rng.uniform(0, np.pi)
    orders = np.arange(2, 7)
    sizes = roughness * rng.normal(size=orders.size) * (2.0 / orders) ** 1.5
    phases = rng.uniform(0, 2 * np.pi, size=orders.size)
    waves = np.concatenate([np.zeros(orders[0]), sizes * np.exp(1j * phases)])

    def log_radius(towards: NDArray[np.complex128]) -> NDArray[np.float64]:
        # Harmonics are powers of the unit vector: the polynomial's real part is their sum.
        return np.asarray(polyval(towards, waves).real)

    # The stretch keeps areas, so the area is half the integral of the squared polar radius.
    around = np.exp(1j * np.linspace(0, 2 * np.pi, 720, endpoint=False))
    scale = radius / math.sqrt(float(np.mean(np.exp(2 * log_radius(around)))))
    # No pixel farther away than this is inside: the others are not looked at.
    reach = scale * math.exp(float(np.abs(sizes).sum())) * max(stretch, 1 / stretch)
    rows, columns = (_within(c, reach, n) for c, n in zip((cy, cx), shape, strict=True))
    dy = np.arange(rows.start, rows.stop)[:, None] + 0.5 - cy
    dx = np.arange(columns.start, columns.stop)[None, :] + 0.5 - cx
    u = (dx * math.cos(turn) + dy * math.sin(turn)) / stretch
    v = (dy * math.cos(turn) - dx * math.sin(turn)) * stretch
    away = np.hypot(u, v)
    towards = np.asarray((u + 1j * v) / np.maximum(away, np.finfo(float).tiny), np.complex128)
    inside = np.zeros(shape, bool)
    inside[rows, columns] = away <= scale * np.exp(log_radius(towards))
    return inside


def _within(centre: float, reach: float, length: int) -> slice:
    """Pixels of an axis whose middle is at most `reach` from `centre`, and a few more."""
    first = min(max(math.floor(centre - reach), 0), length)
    return slice(first, max(min(math.ceil(centre + reach) + 1, length), first))


def random_hole(
    rng: Rng,
    shape: tuple[int, int],
    labels: NDArray[np.integer] | None = None,
    share: tuple[float, float] = (0.02, 0.6),
) -> BoolMask:
    """Draw a random hole for training: label-shaped, vessel-shaped, brushed or a box.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (height, width); at least 8 x 8.
    labels : int (height, width), optional
        Label mask; with labels half of the holes follow one of its pieces.
    share : tuple of float
        Smallest and largest share of the mask that the hole may cover.

    Returns
    -------
    bool (height, width)
        True = synthesise here; its share of the mask lies within ``share``.
    """
    if min(shape) < 8:
        raise ValueError(f"a random hole needs at least 8 x 8 pixels, not {shape}")
    size = shape[0] * shape[1]
    labelled = labels is not None and bool(np.any(labels))
    for _ in range(8):
        target = math.exp(rng.uniform(math.log(share[0]), math.log(share[1])))
        if labelled and labels is not None and rng.random() < 0.5:
            hole = _label_shaped(rng, labels, share)
        else:
            hole = _pick(rng)(rng, shape, target * size)
        if share[0] <= hole.mean() <= share[1]:
            return hole
    return _box(rng, shape, 0.5 * (share[0] + share[1]) * size)


def _pick(rng: Rng) -> Callable[[Rng, tuple[int, int], float], BoolMask]:
    makers = (_outline, _brush, _box)
    return makers[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]


def _outline(rng: Rng, shape: tuple[int, int], area: float) -> BoolMask:
    radius = math.sqrt(area / math.pi)
    # Kept inside as far as it fits: an outline cut in half would miss its area.
    low = [min(radius, side / 2) for side in shape]
    centre = (
        rng.uniform(low[0], shape[0] - low[0]),
        rng.uniform(low[1], shape[1] - low[1]),
    )
    return vessel_outline(rng, shape, radius, centre)


def _box(rng: Rng, shape: tuple[int, int], area: float) -> BoolMask:
    aspect = math.exp(rng.uniform(-0.7, 0.7))
    height = int(np.clip(round(math.sqrt(area * aspect)), math.ceil(area / shape[1]), shape[0]))
    width = int(np.clip(round(area / height), 1, shape[1]))
    y = int(rng.integers(0, shape[0] - height + 1))
    x = int(rng.integers(0, shape[1] - width + 1))
    hole = np.zeros(shape, dtype=bool)
    hole[y : y + height, x : x + width] = True
    return hole


def _brush(rng: Rng, shape: tuple[int, int], area: float) -> BoolMask:
    """Wander with a round brush until the stroke covers ``area`` pixels."""
    radius = max(1.5, 0.5 * math.sqrt(area / math.pi) * rng.uniform(0.4, 1.0))
    spine = np.zeros(shape, dtype=bool)
    row, column = (float(each) for each in rng.uniform((0, 0), shape))
    heading = float(rng.uniform(0, 2 * np.pi))
    # A stroke of this length covers about the area; the walk reflects at the edges.
    for turn in rng.normal(0, 0.25, math.ceil(area / (2 * radius))).tolist():
        spine[int(row), int(column)] = True
        heading += turn
        down, across = row + math.sin(heading), column + math.cos(heading)
        if 0 <= down < shape[0] and 0 <= across < shape[1]:
            row, column = down, across
        else:
            heading += math.pi / 2
    spine[int(row), int(column)] = True
    return dilate(spine, radius)


def _label_shaped(rng: Rng, labels: NDArray[np.integer], share: tuple[float, float]) -> BoolMask:
    """Take one piece of the labels, grown by a few pixels and until it is large enough."""
    pieces, count = ndimage.label(labels > 0)
    hole = np.asarray(pieces == rng.integers(1, count + 1))
    hole = dilate(hole, float(rng.uniform(0, 8)))
    while hole.mean() < share[0]:
        hole = dilate(hole, 3.0)
    return hole
