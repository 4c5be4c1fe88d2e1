"""Shapes of real vessels, lumen and wall, to stamp onto a mask."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.masks.polygons import polygons_to_mask

Part = Literal["vessel", "wall", "lumen"]
SIZES = {"small": (0.0, 25.0), "medium": (25.0, 60.0), "large": (60.0, math.inf)}
"""Ranges of the diameter in micrometres."""


@dataclass(frozen=True)
class VesselShape:
    """The outline of a real vessel and of its lumen.

    Attributes
    ----------
    vessel, lumen : float (n, 2)
        Corners (y, x) in micrometres around the vessel's centroid.
    """

    vessel: NDArray[np.float64]
    lumen: NDArray[np.float64]

    @property
    def diameter(self) -> float:
        """Of the circle with the same area, micrometres."""
        y, x = self.vessel.T
        area = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
        return 2 * math.sqrt(area / math.pi)

    @property
    def reach(self) -> float:
        """Distance of the farthest corner from the centroid, micrometres."""
        return float(np.hypot(*self.vessel.T).max())

    def turned(self, angle: float, factor: float = 1.0) -> VesselShape:
        """Return it turned by an angle (radians) and enlarged by a factor."""
        cos, sin = factor * math.cos(angle), factor * math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        return VesselShape(self.vessel @ turn, self.lumen @ turn)

    def varied(
        self, rng: np.random.Generator, stretch: float = 0.2, elastic: float = 0.1
    ) -> VesselShape:
        """Return it mirrored or not, stretched along a random axis, and bent a little.

        Wall and lumen are bent alike, so that the wall stays about as thick as it was.

        Parameters
        ----------
        rng : numpy.random.Generator
        stretch : float
            Largest relative change of an axis.
        elastic : float
            Displacement (standard deviation) in radii of the vessel, by waves about as long as
            the vessel and half as long.
        """
        angle = float(rng.uniform(0, 2 * math.pi))
        axes = np.exp(rng.uniform(-1, 1, 2) * math.log1p(stretch))
        axes[1] *= rng.choice([-1.0, 1.0])
        radius = self.diameter / 2
        waves = rng.normal(size=(4, 2)) * math.pi / max(2 * radius, 1e-6)
        waves[2:] *= 2
        phases = rng.uniform(0, 2 * math.pi, 4)
        # The mean square of a cosine is a half: four of them with this height have `elastic`.
        heights = rng.normal(size=(4, 2)) * elastic * radius / math.sqrt(2)

        def bent(corners: NDArray[np.float64]) -> NDArray[np.float64]:
            moved = corners + np.cos(corners @ waves.T + phases) @ heights
            return moved * axes

        turned = self.turned(angle)
        return VesselShape(bent(turned.vessel), bent(turned.lumen))

    def drawn(
        self,
        shape: tuple[int, int],
        centre: tuple[float, float],
        mpp: tuple[float, float],
        part: Part = "vessel",
    ) -> NDArray[np.bool_]:
        """Draw it onto a grid of pixels.

        Parameters
        ----------
        shape : (height, width)
        centre : (y, x)
            Where its centroid shall be, in pixels; pixel 0 spans 0 to 1.
        mpp : (y, x)
            Micrometres per pixel.
        part : {"vessel", "wall", "lumen"}
            The whole vessel, its wall without the lumen, or the lumen alone.

        Returns
        -------
        bool (height, width)
        """
        outer = polygons_to_mask([self.vessel / mpp + centre], shape)
        if part == "vessel":
            return outer
        inner = polygons_to_mask([self.lumen / mpp + centre], shape) & outer
        return inner if part == "lumen" else outer & ~inner


@functools.cache
def vessel_shapes() -> tuple[VesselShape, ...]:
    """Return the packaged shapes, the smallest first.

    Drawn by the developers on the training cases' H&E fields; the file says whose they are.
    """
    text = files("napari_histoaug.masks").joinpath("vessel_shapes.json").read_text("utf-8")
    entries = json.loads(text)["shapes"]
    shapes = (VesselShape(np.array(e["vessel"]), np.array(e["lumen"])) for e in entries)
    return tuple(sorted(shapes, key=lambda shape: shape.diameter))


def pick_shape(
    rng: np.random.Generator, shapes: Sequence[VesselShape], size: str | None = None
) -> VesselShape:
    """Return one of some shapes at random, turned at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    shapes : sequence of VesselShape
    size : str, optional
        One of :data:`SIZES`; any size when omitted.
    """
    low, high = SIZES[size] if size else (0.0, math.inf)
    fitting = [shape for shape in shapes if low <= shape.diameter < high] or list(shapes)
    chosen = fitting[int(rng.integers(len(fitting)))]
    return chosen.turned(float(rng.uniform(0, 2 * math.pi)))
