"""Joining generated tissue to the real one: no byte outside the rim changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

MOST_BEYOND = 32  # px; how far a change may reach beyond the hole
REACH = 16.0  # px; how far the colour error at the rim is followed into the hole
FAR_WEIGHT = 0.02  # share of near pixels below which the mean of all counts more
MOST_STEP = 0.08  # optical density; a larger difference is tissue, not a colour step


def feather(hole: Bool, rim: float) -> Float:
    """Weight of the generated pixels: 1 in the hole, falling to 0 at `rim` pixels beyond it.

    Returns
    -------
    float32, (H, W)
        Smooth (cosine) over the rim; exactly 0 beyond it.
    """
    distance = ndimage.distance_transform_edt(~hole).astype(np.float32)
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (rim + 1), 0, 1))
    return np.where(distance > rim, 0, weight).astype(np.float32)


def composite(image: Image, generated: Image, weight: Float) -> tuple[Image, Bool]:
    """Blend `generated` into `image`; both (H, W, 3) uint8.

    Returns
    -------
    blended : uint8, (H, W, 3)
        The bytes of `image`, copied, wherever the weight is 0.
    changed : bool, (H, W)
        Where the weight is above 0.
    """
    changed = weight > 0
    w = weight[changed][:, None]
    mixed = w * generated[changed] + (1 - w) * image[changed]
    blended = image.copy()
    blended[changed] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return blended, changed


def prefill(image: Image, hole: Bool, reach: float = REACH) -> Image:
    """Fill a hole smoothly from its surroundings, so that an encoder does not see what was there.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    hole : bool, (H, W)
    reach : float
        Standard deviation, in pixels, of the Gaussian that spreads the known pixels.
    """
    if not hole.any() or hole.all():
        return image
    filled = image.copy()
    smooth = _spread(image.astype(np.float32), ~hole, reach, image[~hole].mean(0))
    filled[hole] = np.rint(smooth[hole]).clip(0, 255).astype(np.uint8)
    return filled


def match_rim(image: Image, generated: Image, made: Bool) -> Image:
    """Take the decoder's low-frequency colour error out of the generated pixels.

    The error is measured in optical density on the kept pixels around the hole, where the decoder's
    output should equal the image. Near the rim the local error is taken out, deep in the hole the
    mean one.

    Parameters
    ----------
    image, generated : uint8, (H, W, 3)
    made : bool, (H, W)
        Where the network made tissue; elsewhere it only reproduced `image`.
    """
    if made.all() or not made.any():
        return generated
    ours, theirs = density(generated), density(image)
    error = (theirs - ours).clip(-0.5, 0.5)
    step = _spread(error, ~made, REACH, error[~made].mean(0))
    return from_density(ours + step.clip(-MOST_STEP, MOST_STEP))


def density(image: Image) -> Float:
    """Optical density ``-ln((I + 1) / 256)`` of 8-bit RGB."""
    return -np.log((image.astype(np.float32) + 1) / 256)


def from_density(od: Float) -> Image:
    """The inverse of :func:`density`, rounded."""
    return np.rint(256 * np.exp(-od) - 1).clip(0, 255).astype(np.uint8)


def _spread(values: Float, known: Bool, reach: float, far: npt.NDArray[np.floating]) -> Float:
    """Normalised convolution: Gaussian mean of the known values, `far` (3,) where few are near."""
    sigma = (reach, reach, 0)
    total = ndimage.gaussian_filter(np.where(known[..., None], values, 0), sigma)
    weight = ndimage.gaussian_filter(known.astype(np.float32), reach)[..., None]
    return ((total + FAR_WEIGHT * far) / (weight + FAR_WEIGHT)).astype(np.float32)
