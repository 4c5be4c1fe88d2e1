"""The wand: the connected region around a pixel that looks like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# sRGB primaries to XYZ under D65 (IEC 61966-2-1), divided by that white
_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
) / np.array([[0.950456], [1.0], [1.088754]])
_EPSILON, _SLOPE = 0.008856, 7.787


def to_lab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return CIE 1976 L*a*b* colours (D65) of sRGB ones, float32 (..., 3).

    Equal distances in it look about equally different.
    """
    levels = np.arange(256) / 255
    linear = np.where(levels > 0.04045, ((levels + 0.055) / 1.055) ** 2.4, levels / 12.92)
    xyz = linear.astype(np.float32)[image] @ _XYZ.T.astype(np.float32)
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), _SLOPE * xyz + 16 / 116)
    lab = np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )
    return lab.astype(np.float32)


def wand_region(
    image: NDArray[np.uint8], seed: tuple[int, int], tolerance: float, smoothing: float = 1.5
) -> NDArray[np.bool_]:
    """Return the region of like colour around a pixel.

    Parameters
    ----------
    image : uint8 (height, width, 3)
        RGB.
    seed : (row, column)
    tolerance : float
        Largest L*a*b* distance from the seed's colour.
    smoothing : float
        Standard deviation of the blur, in pixels, that keeps grain from tearing the region.

    Returns
    -------
    bool (height, width)
        One connected piece without holes; the seed is in it.
    """
    lab = ndimage.gaussian_filter(to_lab(image), (smoothing, smoothing, 0))
    distance = np.linalg.norm(lab - lab[seed], axis=-1)
    parts, _ = ndimage.label(distance <= tolerance)
    return np.asarray(ndimage.binary_fill_holes(parts == parts[seed]))
