"""Label maps as the network wants them: soft, one channel a class, as coarse as the state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_histoaug.models import pool_labels

STRIP = 256  # rows of the state pooled at once: a one-hot map is far larger than its label map


def soft_labels(values: npt.NDArray[np.uint8], classes: int, factor: int) -> Tensor:
    """Pool a label map to the state's cells.

    Parameters
    ----------
    values : uint8, (H, W)
        0 background, 1 + class index, ``classes + 1`` where nothing is said.
    classes : int
        Without background and null.
    factor : int
        Pixels a cell of the state covers, along each axis.

    Returns
    -------
    Tensor, float32, (classes + 2, H / factor, W / factor)
        Shares of each cell's area; they sum to 1.
    """
    every = np.arange(classes + 2, dtype=np.uint8)[:, None, None]
    strips = []
    for top in range(0, values.shape[0], STRIP * factor):
        part = values[top : top + STRIP * factor]
        one_hot = torch.from_numpy((part[None] == every).astype(np.float32))[None]
        strips.append(pool_labels(one_hot, part.shape[0] // factor, part.shape[1] // factor)[0])
    return torch.cat(strips, dim=1)
