"""The segmentation network: a U-Net on a known encoder, its skips weighed by attention gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_histoaug.models.blocks import groups_for
from napari_histoaug.models.cheaper import GroupNorm
from napari_histoaug.models.encoders import build_encoder

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class SegmentationUNetConfig(BaseModel):
    """The shape of a :class:`SegmentationUNet`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["attention-unet"] = "attention-unet"
    classes: int = Field(1, ge=1, description="one probability map each; background has none")
    encoder: Literal["resnet18", "resnet34", "efficientnet-lite0", "efficientnet-lite1"] = (
        "resnet34"
    )
    width: int = Field(64, ge=8, description="channels of a ResNet's first stage")
    decoder: tuple[int, int, int, int, int] = Field(
        (256, 128, 64, 32, 16), description="channels of the decoder, coarse to fine"
    )
    attention: bool = Field(True, description="gate the skips; False gives a plain U-Net")


class AttentionGate(nn.Module):
    """Weigh a skip connection by what the coarser decoder already knows.

    ``q = psi(relu(W_x x + W_g g + b_g)) + b_psi``, ``alpha = sigmoid(q)``, result ``alpha x``
    (additive attention, Oktay et al. 2018, equations 1 and 2).
    """

    def __init__(self, skip: int, gate: int) -> None:
        super().__init__()
        between = max(skip // 2, 8)
        self.of_skip = nn.Conv2d(skip, between, 1, bias=False)
        self.of_gate = nn.Conv2d(gate, between, 1)
        self.psi = nn.Conv2d(between, 1, 1)

    def weights(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Attention (B, 1, H, W) between 0 and 1; `skip` and `gate` are (B, C, H, W)."""
        return torch.sigmoid(self.psi(F.relu(self.of_skip(skip) + self.of_gate(gate))))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Return the weighed skip, of the skip's shape."""
        return skip * self.weights(skip, gate)


class _UpBlock(nn.Module):
    """Twice the size, joined with a gated skip, two convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int, *, attention: bool) -> None:
        super().__init__()
        self.gate = AttentionGate(skip, inputs) if attention and skip else None
        layers: list[nn.Module] = []
        for channels in (inputs + skip, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                # Group norm: whole slides come in batches of another size than training.
                GroupNorm(groups_for(outputs), outputs),
                nn.ReLU(inplace=True),
            ]
        self.convolve = nn.Sequential(*layers)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if skip is not None:
            x = torch.cat([x, skip if self.gate is None else self.gate(skip, x)], 1)
        return self.convolve(x)


class SegmentationUNet(nn.Module):
    """U-Net with an encoder made for photographs and additive attention gates.

    Parameters
    ----------
    config : SegmentationUNetConfig
        The shape. Sides of the input must be multiples of :attr:`stride`.
    """

    mean: Tensor
    std: Tensor
    stride = 32

    def __init__(self, config: SegmentationUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder, config.width)
        *skips, deepest = self.encoder.channels
        self.decoder = nn.ModuleList()
        for width, skip in zip(config.decoder, [*reversed(skips), 0], strict=True):
            self.decoder.append(_UpBlock(deepest, skip, width, attention=config.attention))
            deepest = width
        self.leave = nn.Conv2d(deepest, config.classes, 3, padding=1)
        # What a pixel of [-1, 1] is in the units of networks pretrained on photographs.
        self.register_buffer("mean", _channels(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", _channels(IMAGENET_STD), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of RGB (B, 3, H, W) in [-1, 1]."""
        *skips, h = self.encoder(((image + 1) / 2 - self.mean) / self.std)
        for block, skip in zip(self.decoder, [*reversed(skips), None], strict=True):
            h = block(h, skip)
        return self.leave(h)


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[None, :, None, None]
