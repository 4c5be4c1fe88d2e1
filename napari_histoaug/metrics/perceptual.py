"""LPIPS: how different two pictures look to a network (Zhang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_histoaug.metrics.errors import MetricError
from napari_histoaug.metrics.extractor_choice import (
    SEGMENTER,
    hash_of,
    read_weights,
    tissue_encoder,
)
from napari_histoaug.metrics.extractors import IMAGENET_MEAN, IMAGENET_STD
from napari_histoaug.models.encoders import Encoder

Images = npt.NDArray[np.uint8]
BATCH = 8
TINY = 1e-10
# LPIPS's own shift and scale are ImageNet's, written for pictures in [-1, 1].
POOL = "pool"
ALEXNET: tuple[tuple[int, int, int, int, int] | str, ...] = (
    (3, 64, 11, 4, 2), "tap", POOL, (64, 192, 5, 1, 2), "tap", POOL,
    (192, 384, 3, 1, 1), "tap", (384, 256, 3, 1, 1), "tap", (256, 256, 3, 1, 1), "tap",
)  # fmt: skip
VGG16: tuple[tuple[int, int, int, int, int] | str, ...] = (
    (3, 64, 3, 1, 1), (64, 64, 3, 1, 1), "tap", POOL,
    (64, 128, 3, 1, 1), (128, 128, 3, 1, 1), "tap", POOL,
    (128, 256, 3, 1, 1), (256, 256, 3, 1, 1), (256, 256, 3, 1, 1), "tap", POOL,
    (256, 512, 3, 1, 1), (512, 512, 3, 1, 1), (512, 512, 3, 1, 1), "tap", POOL,
    (512, 512, 3, 1, 1), (512, 512, 3, 1, 1), (512, 512, 3, 1, 1), "tap",
)  # fmt: skip
SHAPES = {"alex": (ALEXNET, 3), "vgg": (VGG16, 2)}


class Taps(nn.Module):
    """The convolutions of AlexNet or VGG-16, named as in torchvision, and what LPIPS looks at.

    Parameters
    ----------
    name : {"alex", "vgg"}
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        shape, window = SHAPES[name]
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        self.channels: list[int] = []
        width = 3
        for each in shape:
            if each == POOL:
                layers.append(nn.MaxPool2d(window, 2))
            elif isinstance(each, str):
                self.taps.append(len(layers) - 1)
                self.channels.append(width)
            else:
                inputs, width, side, stride, padding = each
                layers += [nn.Conv2d(inputs, width, side, stride, padding), nn.ReLU()]
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps of normalised RGB (B, 3, H, W)."""
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


class Lpips:
    """LPIPS of pairs of pictures.

    Parameters
    ----------
    network : nn.Module
        Normalised RGB to a list of feature maps.
    kind, sha256 : str
        What it is, and the hash of its weights.
    heads : sequence of Tensor (1, C, 1, 1), optional
        Weights of the channels, one a feature map, as published; without them channels are summed,
        as the paper's unweighted baseline does.
    """

    def __init__(
        self,
        network: Taps | Encoder,
        kind: str,
        sha256: str,
        heads: Sequence[Tensor] | None = None,
    ) -> None:
        self.network, self.heads = network.eval().requires_grad_(False), heads
        weighing = "published heads" if heads is not None else "unweighted, no linear heads"
        self.name = f"LPIPS on {kind} ({weighing}; weights {sha256[:12]}, no resize)"

    def __call__(self, first: Images, second: Images) -> npt.NDArray[np.float64]:
        """Distances (N,) of pictures uint8 (N, H, W, 3) to their partners.

        Raises
        ------
        MetricError
            When the two are not of the same shape.
        """
        if first.shape != second.shape or first.ndim != 4 or not len(first):
            raise MetricError(
                f"LPIPS compares pictures of one size in pairs, not {first.shape} with "
                f"{second.shape}."
            )
        found = []
        for start in range(0, len(first), BATCH):
            with torch.inference_mode():
                maps = [self._maps(part[start : start + BATCH]) for part in (first, second)]
                found.append(self._distance(*maps).double().numpy())
        return np.concatenate(found)

    def _maps(self, images: Images) -> list[Tensor]:
        mean, std = (torch.tensor(v)[None, :, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
        maps = self.network((x - mean) / std)
        return [h / (h.square().sum(1, keepdim=True).sqrt() + TINY) for h in maps]

    def _distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        total = torch.zeros(len(first[0]))
        for level, (a, b) in enumerate(zip(first, second, strict=True)):
            squared = (a - b).square()
            weighed = squared if self.heads is None else squared * self.heads[level]
            total += weighed.sum(1).mean((1, 2))
        return total


def choose_lpips(
    backbone: str = "tissue", weights: Path | None = None, heads: Path | None = None
) -> Lpips:
    """Load an LPIPS.

    Parameters
    ----------
    backbone : {"tissue", "alex", "vgg"}
        The encoder of a segmenter, or torchvision's AlexNet or VGG-16.
    weights : Path, optional
        Of AlexNet or VGG-16 (names as in torchvision), or a segmenter folder.
    heads : Path, optional
        Linear heads as the package lpips has them (``lin0.model.1.weight`` ...).

    Raises
    ------
    MetricError
        When a file is missing or does not fit.
    """
    if backbone == "tissue":
        if heads is not None:
            raise MetricError("Linear heads belong to AlexNet or VGG-16, not to a tissue encoder.")
        encoder, sha256 = tissue_encoder(weights or SEGMENTER)
        return Lpips(encoder, "a tissue encoder", sha256)
    if backbone not in SHAPES:
        raise MetricError(f"There is no LPIPS on {backbone!r}; use tissue, alex or vgg.")
    if weights is None:
        raise MetricError(f"LPIPS on {backbone} needs the weights of that network; give a file.")
    tensors = read_weights(weights)
    network = Taps(backbone)
    own = {name: tensors[name] for name in network.state_dict() if name in tensors}
    try:
        network.load_state_dict(own)
    except RuntimeError:
        raise MetricError(
            f"{weights} does not fit {backbone}; give torchvision's weights of that network."
        ) from None
    return Lpips(network, backbone, hash_of(own), _heads(heads, network.channels))


def _heads(path: Path | None, channels: Sequence[int]) -> list[Tensor] | None:
    if path is None:
        return None
    tensors = read_weights(path)
    found = []
    for level, width in enumerate(channels):
        name = f"lin{level}.model.1.weight"
        if name not in tensors or tensors[name].shape != (1, width, 1, 1):
            raise MetricError(f"The heads {path} lack {name} for {width} channels.")
        found.append(tensors[name].float())
    return found
