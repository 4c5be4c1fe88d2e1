"""Fine detail of a donor that the network's state cannot hold, kept where the state was kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histoaug.generation.composite import density, from_density

Image = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

CHANGE = 0.35  # of the state's unit deviation; where it changed by so much, 1/e of the detail stays


def kept(start: Tensor, state: Tensor, factor: int) -> Float:
    """Share of the detail that still belongs to the state, float32 (h * factor, w * factor).

    ``exp(-(d / CHANGE)^2)`` with d the root mean square difference of the channels, which is near 1
    for a donor that was hardly noised and near 0 for tissue made anew.

    Parameters
    ----------
    start, state : Tensor, (1, C, h, w)
        Before and after sampling; channels of unit variance.
    factor : int
        Pixels a cell covers.
    """
    change = (state - start).float().square().mean(1, keepdim=True)
    change = F.avg_pool2d(F.pad(change, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.exp(-change / CHANGE**2)
    whole = F.interpolate(share, scale_factor=factor, mode="bilinear", align_corners=False)
    return whole[0, 0].cpu().numpy()


def with_detail(made: Image, original: Image, decoded: Image, share: Float) -> Image:
    """Add to a picture what the autoencoder lost of the one that sampling started from.

    In optical density, in which stains add up: ``made + share * (original - decoded)``. Where the
    state did not change, `made` equals `decoded` and the original comes back to the grey level.

    Parameters
    ----------
    made, original, decoded : uint8, (H, W, 3)
        The decoded result; the picture that was encoded as start; that one decoded again.
    share : float32, (H, W)
    """
    lost = density(original) - density(decoded)
    return from_density(density(made) + share[..., None] * lost)
