"""What the user drew, frozen at the moment of the click, as holes at level 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import (
    LARGEST,
    Box,
    Pair,
    Surroundings,
    group_holes,
    intersect,
)
from napari_histoaug.masks import polygons_to_mask
from napari_histoaug.patches import context_box

NETWORK_MPP = 0.5
"""About the pixel size networks for tissue are trained at, micrometres."""


class Drawing(Protocol):
    """Something drawn over a slide."""

    def boxes(self) -> list[Box]:
        """Level-0 bounding boxes of its separate pieces."""

    def fill(self, box: Box) -> np.ndarray:
        """The hole inside a level-0 box, bool (height, width), True = synthesise here."""


@dataclass(frozen=True)
class Outlines:
    """Polygons with (row, column) corners in level-0 pixels, a pixel's centre at its index."""

    polygons: Sequence[np.ndarray]

    def boxes(self) -> list[Box]:
        found = []
        for corners in self.polygons:
            low = np.floor(corners.min(axis=0) + 0.5).astype(int)
            high = np.ceil(corners.max(axis=0) + 0.5).astype(int)
            height, width = np.maximum(high - low, 1)
            found.append((int(low[0]), int(low[1]), int(height), int(width)))
        return found

    def fill(self, box: Box) -> np.ndarray:
        moved = [corners - np.asarray(box[:2]) for corners in self.polygons]
        return polygons_to_mask(moved, (box[2], box[3]), pixel_centre=0.0)


@dataclass(frozen=True)
class PlannedHole:
    """One call of the network: the context box and the hole in it (bool, box-shaped)."""

    box: Box
    hole: np.ndarray


def plan_holes(
    drawings: Sequence[Drawing], shape: tuple[int, int], mpp: Pair | None = None
) -> list[PlannedHole]:
    """Cut what was drawn into boxes for the network.

    Near pieces share a box; far ones get one each.

    Parameters
    ----------
    drawings : sequence of Drawing
    shape : (height, width)
        Of level 0; what lies outside is dropped.
    mpp : (y, x), optional
        Micrometres per pixel: a finely scanned slide needs more pixels around a hole for the
        network, which works at about half a micrometre, to see as much tissue.

    Raises
    ------
    HistoaugError
        When nothing is drawn, when it lies outside the slide, or when a piece is too large.
    """
    drawn = [box for drawing in drawings for box in drawing.boxes()]
    if not drawn:
        raise HistoaugError(
            "No vessel is painted yet: click Paint here and paint one, or draw an outline."
        )
    slide = (0, 0, *shape)
    inside = [clipped for box in drawn if (clipped := intersect(box, slide)) is not None]
    plans = []
    finer = max(1.0, NETWORK_MPP / min(mpp)) if mpp else 1.0
    around = Surroundings(round(64 * finer), round(256 * finer))
    for group in group_holes(inside, shape, around):
        if max(group[2:]) > LARGEST:
            raise HistoaugError(
                f"The painted area is {max(group[2:])} pixels long at full resolution, more than "
                f"the {LARGEST} that fit in one piece: zoom in and paint a smaller one."
            )
        box = context_box(group, shape, *around)
        hole = np.logical_or.reduce([drawing.fill(box) for drawing in drawings])
        if hole.any():
            plans.append(PlannedHole(box, hole))
    if not plans:
        raise HistoaugError(
            "The painted area lies outside the slide: paint on the tissue and try again."
        )
    return plans
