"""A ResNet as the encoder of a U-Net, with the parameter names of torchvision and timm.

Written out here because timm needs a torchvision that fits torch to the letter,
which a hospital machine often lacks; weights trained elsewhere load by name all the same.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

STAGES: dict[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
}
"""Residual blocks a stage (He et al. 2016, table 1)."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        skip = x if self.downsample is None else self.downsample(x)
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(skip + self.bn2(self.conv2(h)))


class ResidualEncoder(nn.Module):
    """ResNet-18 or -34 without its classifier.

    Parameters
    ----------
    name : {"resnet18", "resnet34"}
    width : int
        Channels of the first stage; 64 in the paper, less for a small network.

    Attributes
    ----------
    channels : tuple of int
        Of the feature maps that :meth:`forward` returns.
    """

    def __init__(self, name: str, width: int = 64) -> None:
        super().__init__()
        self.channels = (width, width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage, blocks in enumerate(STAGES[name]):
            outputs, stride = width * 2**stage, 1 if stage == 0 else 2
            layers = [BasicBlock(inputs, outputs, stride)]
            layers += [BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x` (B, 3, H, W)."""
        h = F.relu(self.bn1(self.conv1(x)))
        found = [h]
        h = F.max_pool2d(h, 3, 2, 1)
        for stage in range(1, 5):
            h = getattr(self, f"layer{stage}")(h)
            found.append(h)
        return found
