"""Varying training tissue: stain, size and angle, as slides of other laboratories differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Rng = np.random.Generator

# Haematoxylin, eosin, rest: rows of optical density (Ruifrok and Johnston 2001).
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
STAINS = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
UNMIX = np.linalg.inv(STAINS)


def vary_stain(image: Image, rng: Rng, strength: float) -> Image:
    """Strengthen and weaken the stains, each by its own random factor (Tellez et al. 2018).

    Parameters
    ----------
    image : uint8, (H, W, 3)
    rng : numpy.random.Generator
    strength : float
        A stain is multiplied by 1 plus or minus up to this, and shifted by up to a fifth of it.
        0 leaves the image as it is.
    """
    if not strength:
        return image
    factor = rng.uniform(1 - strength, 1 + strength, 3)
    shift = rng.uniform(-strength / 5, strength / 5, 3)
    density = -np.log((image.astype(np.float32) + 1) / 256)
    # Both steps of unmixing and mixing are linear: one 3 x 3 matrix.
    matrix = (UNMIX * factor) @ STAINS
    varied = density @ matrix.astype(np.float32) + (shift @ STAINS).astype(np.float32)
    return np.rint(256 * np.exp(-varied) - 1).clip(0, 255).astype(np.uint8)


def turn_and_scale(
    image: Image, labels: Labels, size: int, angle: float, scale: float, fill: int
) -> tuple[Image, Labels]:
    """Turn and scale about the middle, and cut the middle out.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    labels : uint8, (H, W)
        Follow by the nearest neighbour.
    size : int
        Side of the result, pixels.
    angle : float
        Radians.
    scale : float
        Above 1 enlarges.
    fill : int
        Label of what lies outside.
    """
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cos, -sin], [sin, cos]])
    middle = (np.array(labels.shape) - 1) / 2
    offset = middle - matrix @ np.full(2, (size - 1) / 2)
    channels = [
        ndimage.affine_transform(
            image[..., c], matrix, offset, (size, size), order=1, mode="mirror"
        )
        for c in range(3)
    ]
    turned = ndimage.affine_transform(
        labels, matrix, offset, (size, size), order=0, mode="constant", cval=fill
    )
    return np.stack(channels, 2), turned
