"""What a training example of the two-level-time network asks for: hole, labels, null label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_histoaug.masks import random_hole

Bool = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]


def align_to_cells(hole: Bool, cell: int) -> Bool:
    """Grow a hole (H, W) to whole cells of `cell` x `cell` pixels: any hole pixel makes a cell."""
    height, width = hole.shape
    cells = hole.reshape(height // cell, cell, width // cell, cell).any(axis=(1, 3))
    return np.kron(cells, np.ones((cell, cell), bool)).astype(bool)


def training_hole(rng: np.random.Generator, labels: Labels, cell: int, full_share: float) -> Bool:
    """Draw the hole of one example.

    Parameters
    ----------
    labels : uint8, (H, W)
        Sides multiples of `cell`.
    cell : int
        The hole is made of whole cells.
    full_share : float
        Probability of a hole everywhere, i.e. ordinary diffusion.

    Returns
    -------
    bool, (H, W)
    """
    if rng.random() < full_share:
        return np.ones(labels.shape, bool)
    return align_to_cells(random_hole(rng, labels.shape, labels), cell)


def soft_labels(labels: Labels, hole: Bool, classes: int, *, drop: bool) -> npt.NDArray[np.float32]:
    """One-hot label map with a null channel, as the network is told about it.

    Outside a hole nothing is said (null): a user labels what shall be made, not what is there.

    Parameters
    ----------
    labels : uint8, (H, W)
        0 background, 1 + class index elsewhere.
    hole : bool, (H, W)
    drop : bool
        Say nothing at all, for classifier-free guidance.

    Returns
    -------
    float32, (classes + 2, H, W)
        Background, the classes, null; sums to 1 at every pixel.
    """
    null = classes + 1
    said = np.where(hole & (not drop), labels, null)
    return (said[None] == np.arange(classes + 2)[:, None, None]).astype(np.float32)
