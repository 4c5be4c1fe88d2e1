"""An error map over its tissue as one picture, with a legend and a scale bar."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from napari_histoaug.segmentation.error_map import COLOURS, Outcome

UInt8 = npt.NDArray[np.uint8]
NAMES = {
    Outcome.TRUE_POSITIVE: "found (true positive)",
    Outcome.FALSE_POSITIVE: "invented (false positive)",
    Outcome.FALSE_NEGATIVE: "missed (false negative)",
}
BAND, MARGIN, SWATCH, FONT = 44, 14, 14, 15  # pixels
INK, PAPER = (40, 40, 40), (255, 255, 255)
NARROWEST = 760  # a narrower picture has no room for the legend
BAR_SHARE = 0.2  # of the width, at most


def error_picture(
    tissue: UInt8,
    outcomes: UInt8,
    *,
    palette: str = "thesis",
    opacity: float = 0.5,
    contour: int = 0,
    mpp: float | None = None,
) -> UInt8:
    """Lay an error map over tissue, and a band with legend and scale bar below.

    Parameters
    ----------
    tissue : uint8 (H, W, 3)
    outcomes : uint8 (H, W)
        Values of :class:`Outcome`.
    palette : str
        One of :data:`~.error_map.COLOURS`.
    opacity : float
        Of filled areas, 0 to 1.
    contour : int
        Only borders, so many pixels wide; 0 fills.
    mpp : float, optional
        Micrometres a pixel; without them the bar counts pixels.

    Returns
    -------
    uint8 (n H + 44, n W, 3)
        Enlarged n times where it would be narrower than 760 pixels.
    """
    times = -(-NARROWEST // outcomes.shape[1])
    if times > 1:
        tissue, outcomes = (side.repeat(times, 0).repeat(times, 1) for side in (tissue, outcomes))
        mpp, contour = None if mpp is None else mpp / times, contour * times
    shown = outcomes if contour == 0 else borders(outcomes, contour)
    opacity = 1.0 if contour else opacity
    out = tissue.astype(np.float32)
    for kind, colour in COLOURS[palette].items():
        where = shown == kind
        out[where] += opacity * (np.array(colour, np.float32) - out[where])
    height, width = outcomes.shape
    page = np.full((height + BAND, width, 3), PAPER, np.uint8)
    page[:height] = np.rint(out).astype(np.uint8)
    picture = Pillow.fromarray(page)
    draw = ImageDraw.Draw(picture)
    _legend(draw, height, palette)
    _scale_bar(draw, height, width, mpp)
    return np.asarray(picture)


def borders(outcomes: UInt8, thickness: int) -> UInt8:
    """Only the inner border of every area, `thickness` pixels wide; uint8 (H, W)."""
    size = 2 * thickness + 1
    same = ndimage.minimum_filter(outcomes, size) == ndimage.maximum_filter(outcomes, size)
    out: UInt8 = np.where(same, 0, outcomes).astype(np.uint8)
    return out


def nice_length(most: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that is not above `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    return power * max(step for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _legend(draw: ImageDraw.ImageDraw, top: int, palette: str) -> None:
    font, x = ImageFont.load_default(FONT), MARGIN
    middle = top + BAND // 2
    for kind, name in NAMES.items():
        box = (x, middle - SWATCH // 2, x + SWATCH, middle + SWATCH // 2)
        draw.rectangle(box, fill=COLOURS[palette][kind])
        x += SWATCH + 6
        draw.text((x, middle), name, fill=INK, font=font, anchor="lm")
        x += round(draw.textlength(name, font=font)) + MARGIN


def _scale_bar(draw: ImageDraw.ImageDraw, top: int, width: int, mpp: float | None) -> None:
    unit = mpp or 1.0
    length = nice_length(max(BAR_SHARE * width, 1) * unit)
    pixels = max(1, round(length / unit))
    # Pillow's own font knows no micro sign.
    text = f"{length:g} {'um' if mpp else 'px'}"
    if mpp and length >= 1000:
        text = f"{length / 1000:g} mm"
    x, y = width - MARGIN - pixels, top + BAND - 12
    draw.rectangle((x, y, x + pixels, y + 3), fill=INK)
    font = ImageFont.load_default(FONT)
    draw.text((x + pixels / 2, y - 4), text, fill=INK, font=font, anchor="mb")
