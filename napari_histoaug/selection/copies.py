"""Is a generated vessel a copy of one that the networks were taught on?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIDE = 16  # cells a side of what is compared: the look as a whole, not single pixels

Pixels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]


def nearest_likeness(made: Pixels, taught: Pixels) -> Float:
    """Correlation of each crop with its nearest neighbour among others.

    All eight turns and mirrorings are tried; brightness and contrast do not count.

    Parameters
    ----------
    made : uint8, (N, side, side, 3)
        Generated crops; `side` is a multiple of 16.
    taught : uint8, (M, side, side, 3)
        Crops that the networks were taught on.

    Returns
    -------
    float32, (N,)
        1 = the same picture, -1 where there is nothing to compare with.
    """
    if not len(made) or not len(taught):
        return np.full(len(made), -1, np.float32)
    turned = [
        np.rot90(part, quarter, (1, 2))
        for part in (taught, taught[:, :, ::-1])
        for quarter in range(4)
    ]
    known = np.concatenate([_described(part) for part in turned])
    return np.asarray((_described(made) @ known.T).max(1), np.float32)


def _described(crops: Pixels) -> Float:
    """Vectors of length 1, float32 (N, 3 * SIDE**2)."""
    n, side = crops.shape[:2]
    cells = crops.reshape(n, SIDE, side // SIDE, SIDE, side // SIDE, 3).mean((2, 4), np.float32)
    vectors = cells.reshape(n, -1)
    vectors = vectors - vectors.mean(1, keepdims=True)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))
