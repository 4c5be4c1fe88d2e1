"""Pictures of a result that help to judge it; plain arrays, no napari."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

Look = Literal["result", "difference", "seam"]
LOOKS: dict[Look, tuple[str, str]] = {
    "result": ("The result", "The new tissue, where it is new."),
    "difference": ("What changed", "How far each pixel moved from the slide: dark little, bright."),
    "seam": ("Seams", "The border, coloured where it shows: yellow is twice, red four times."),
}
OUTLINE = (20, 230, 255)
STRONG = 96  # a byte's difference that is shown brightest
SHOWS = 1.5, 4.0  # from where a seam is coloured, and where it is reddest, in steps of tissue


def picture(
    look: Look,
    before: np.ndarray,
    after: np.ndarray,
    changed: np.ndarray,
    hole: np.ndarray,
    outlined: bool = False,
) -> np.ndarray:
    """A result as it is looked at.

    Parameters
    ----------
    look : {"result", "difference", "seam"}
    before, after : uint8 (H, W, 3)
    changed : bool (H, W)
    hole : bool or uint8 (H, W)
        What was painted.
    outlined : bool
        Draw the border of `hole`.

    Returns
    -------
    uint8 (H, W, 4)
        Clear where nothing is new.
    """
    rgb = after.copy()
    if look == "difference":
        rgb = difference(before, after)
    elif look == "seam":
        rgb = seams(after, changed)
    alpha = np.where(changed, 255, 0).astype(np.uint8)
    if look == "seam":
        border = np.any(rgb != after, axis=-1)
        alpha[border] = 255
    if outlined:
        line = border_of(hole != 0)
        rgb[line], alpha[line] = OUTLINE, 255
    return np.dstack([rgb, alpha])


def blended(before: np.ndarray, seen: np.ndarray, share: float) -> np.ndarray:
    """A picture laid over what was there before, where it is not clear; uint8 (H, W, 4).

    `share` 0 is `before` (uint8 (H, W, 3)), 1 is `seen` (uint8 (H, W, 4)).
    """
    mixed = (1 - share) * before + share * seen[..., :3]
    return np.dstack([np.rint(mixed).astype(np.uint8), seen[..., 3]])


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Largest change of a colour channel, from black over orange to white; uint8 (H, W, 3)."""
    moved = np.abs(after.astype(np.int16) - before).max(axis=-1) / STRONG
    heat = np.stack([moved * 2, moved * 2 - 0.5, moved * 2 - 1], axis=-1)
    return (heat.clip(0, 1) * 255).astype(np.uint8)


def seams(after: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """The picture with its seams coloured from yellow to red where they show; uint8 (H, W, 3)."""
    from napari_histoaug.metrics import seam_map

    # one border pixel is noise as tissue is; a stretch of them is a seam
    found = seam_map(after, changed)
    near = ndimage.uniform_filter((found > 0).astype(np.float32), 7)
    found = np.where(near > 0, ndimage.uniform_filter(found, 7) / np.maximum(near, 1e-6), 0)
    wide = border_of(changed, 3)
    share = ((found - SHOWS[0]) / (SHOWS[1] - SHOWS[0])).clip(0, 1)
    rgb = after.copy()
    shown = wide & (share > 0)
    green = np.where(share < 0.33, 255, 255 * (1 - share))
    rgb[shown] = np.stack([np.full_like(green, 255), green, np.zeros_like(green)], -1)[shown]
    return rgb


def border_of(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """The pixels on both sides of a mask's border, bool (H, W)."""
    grown = ndimage.binary_dilation(mask, iterations=width)
    return grown & ~ndimage.binary_erosion(mask, iterations=width, border_value=1)


def thumbnail(image: np.ndarray, side: int = 64) -> np.ndarray:
    """A small square picture of the middle of an image, uint8 (side, side, 3)."""
    least = min(image.shape[:2])
    top, left = ((n - least) // 2 for n in image.shape[:2])
    square = Image.fromarray(image[top : top + least, left : left + least])
    return np.asarray(square.resize((side, side), Image.Resampling.BOX))
