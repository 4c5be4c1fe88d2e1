"""Micrometres per pixel: where they come from and when they are believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_histoaug.slides.errors import SlideError

#: Larger than any microscope's overview; also refuses the 72 dpi and 96 dpi of image editors.
LARGEST_MPP = 20.0

_PER_MICROMETRE = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


def believable(y: float | None, x: float | None) -> tuple[float, float] | None:
    """Return (y, x) in micrometres per pixel, or None when either is missing or absurd."""
    if y is None or x is None:
        return None
    if not all(math.isfinite(v) and 0 < v <= LARGEST_MPP for v in (y, x)):
        return None
    return float(y), float(x)


def from_argument(mpp: float | Sequence[float]) -> tuple[float, float]:
    """Read the user's own pixel size: one number for both axes, or (y, x).

    Raises
    ------
    SlideError
        When it is not one or two positive finite numbers.
    """
    values = [mpp] if isinstance(mpp, int | float) else list(mpp)
    if len(values) not in (1, 2) or not all(math.isfinite(v) and v > 0 for v in values):
        raise SlideError(
            f"The pixel size {mpp!r} is not usable; give micrometres per pixel as one positive "
            "number or as (y, x)."
        )
    return float(values[0]), float(values[-1])


def from_length(value: float, unit: str | None) -> float | None:
    """Convert an OME length to micrometres; None when the unit is not a length we know."""
    factor = _PER_MICROMETRE.get(unit or "µm")
    return None if factor is None else float(value) * factor


def from_number(text: object) -> float | None:
    """Parse a vendor's number, None when it is not one."""
    try:
        return float(str(text))
    except ValueError:
        return None
