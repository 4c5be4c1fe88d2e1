"""A patch discriminator: the network that an autoencoder's pictures have to get past."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from napari_histoaug.learning.config import AdversarialConfig


class PatchDiscriminator(nn.Module):
    """Says of every patch of an image how real it looks (Isola et al. 2017).

    Spectral normalisation (Miyato et al. 2018) instead of batch statistics: the verdict on an image
    does not depend on its neighbours in the batch, nor on how a batch is shared among processes.

    Parameters
    ----------
    width : int
        Channels of the first layer; doubled at each of the next, at most eightfold.
    layers : int
        Layers that halve the image. Two see patches of 34 px, three of 70 px.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        channels, strides = 3, [2] * layers + [1]
        parts: list[nn.Module] = []
        for depth, stride in enumerate(strides):
            wide = width * min(2**depth, 8)
            parts += [
                spectral_norm(nn.Conv2d(channels, wide, 4, stride, padding=1)),
                nn.LeakyReLU(0.2),
            ]
            channels = wide
        parts.append(spectral_norm(nn.Conv2d(channels, 1, 4, padding=1)))
        self.parts = nn.Sequential(*parts)

    def forward(self, image: Tensor) -> Tensor:
        """Verdicts (B, 1, h, w), above 0 = real, on RGB (B, 3, H, W) in [-1, 1]."""
        return self.parts(image)


def new_discriminator(config: AdversarialConfig) -> PatchDiscriminator | None:
    """Build the configured discriminator; None when its weight is 0."""
    if not config.weight:
        return None
    made = PatchDiscriminator(config.width, config.layers)
    made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def adversarial_weight(config: AdversarialConfig, step: int) -> float:
    """How much the verdict counts at `step`: 0 before ``start_step``, then rising over ``ramp``."""
    return config.weight * min(max((step - config.start_step) / config.ramp, 0.0), 1.0)


def judging_loss(verdicts: Tensor) -> Tensor:
    """The discriminator's hinge loss (Lim and Ye 2017).

    Parameters
    ----------
    verdicts : Tensor, (2 B, 1, h, w)
        On B real images and, after them, on B made ones.
    """
    real, made = verdicts.float().chunk(2)
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


def fooling_loss(verdicts: Tensor) -> Tensor:
    """The other side of it: minus the mean verdict on made images."""
    return -verdicts.float().mean()
