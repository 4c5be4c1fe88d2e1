"""Batches of images as one grid to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

GAP = 4


def grid(rows: Sequence[Tensor]) -> npt.NDArray[np.uint8]:
    """Lay out rows of images on white.

    Parameters
    ----------
    rows : sequence of Tensor, each (N, 3, H, W), float
        RGB in [-1, 1]; all of one shape.

    Returns
    -------
    uint8, (height, width, 3)
    """
    count, _, height, width = rows[0].shape
    canvas = np.full(
        (len(rows) * (height + GAP) - GAP, count * (width + GAP) - GAP, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        pixels = ((row.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
        for j, image in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
            y, x = i * (height + GAP), j * (width + GAP)
            canvas[y : y + height, x : x + width] = image
    return canvas
