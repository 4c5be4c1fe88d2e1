"""Losses of the segmentation network: cross-entropy and Dice, pixels weighed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the binary cross-entropy.

    Parameters
    ----------
    logits, target : Tensor, (B, classes, H, W)
        Targets are 0 or 1.
    weight : Tensor, (B, 1, H, W)
        0 = the pixel does not count.
    """
    errors = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    return errors.sum() / (weight.sum() * logits.shape[1]).clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice of the whole batch, mean over the classes (Milletari et al. 2016).

    Over the batch and not image by image: an image without vessels has no Dice of its own.

    Parameters
    ----------
    logits, target, weight : Tensor
        As for :func:`cross_entropy`.
    smooth : float
        Added to both sides of the fraction, in pixels.
    """
    found = logits.sigmoid() * weight
    wanted = target * weight
    both = (found * target).sum((0, 2, 3))
    sizes = found.sum((0, 2, 3)) + wanted.sum((0, 2, 3))
    return (1 - (2 * both + smooth) / (sizes + smooth)).mean()
