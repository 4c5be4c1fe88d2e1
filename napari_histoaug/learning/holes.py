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
    cells = hole.reshape(-1, cell, width).any(1).reshape(height // cell, -1, cell).any(2)
    return np.asarray(cells.repeat(cell, 0).repeat(cell, 1))


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


def soft_labels(
    labels: Labels, hole: Bool, classes: int, *, drop: bool, factor: int = 1
) -> npt.NDArray[np.float32]:
    """Label map with a null channel, as the network is told about it: shares of each cell.

    Outside a hole nothing is said (null): a user labels what shall be made, not what is there.

    Parameters
    ----------
    labels : uint8, (H, W)
        0 background, 1 + class index elsewhere.
    hole : bool, (H, W)
    drop : bool
        Say nothing at all, for classifier-free guidance.
    factor : int
        Pixels a cell covers, along each axis.

    Returns
    -------
    float32, (classes + 2, H / factor, W / factor)
        Background, the classes, null; sums to 1 at every cell.
    """
    height, width = labels.shape
    null = classes + 1
    said = np.full_like(labels, null) if drop else np.where(hole, labels, np.uint8(null))
    # Pooled here and not by the network: a batch is that much smaller.
    every = said == np.arange(classes + 2, dtype=np.uint8)[:, None, None]
    counts = every.reshape(classes + 2, -1, factor, width).sum(2, dtype=np.uint16)
    counts = counts.reshape(classes + 2, height // factor, -1, factor).sum(3, dtype=np.uint16)
    return counts / np.float32(factor**2)
