"""EfficientNet-Lite as the encoder of a U-Net: inverted residuals, no squeeze and excitation.

Tan and Le 2019, in the variant for small devices. Written out here so that a segmenter needs no
package to be loaded; the published weights load by name, see :func:`load_published`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.models.cheaper import taught_on_cpu

DEPTHS: dict[str, float] = {"efficientnet-lite0": 1.0, "efficientnet-lite1": 1.1}
"""How many times as many blocks a stage has; those of the first and the last stay."""


@dataclass(frozen=True)
class _Stage:
    blocks: int
    kernel: int
    stride: int
    expand: int
    outputs: int


_STEM = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_EPSILON = 1e-3  # of the norms, as published


class _SameConv(nn.Conv2d):
    """Convolution whose result is 1 / stride of the input; what padding is odd goes last."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        over = kernel - stride
        self.margin = (over // 2, over - over // 2) * 2 if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        padded = x if self.margin is None else F.pad(x, self.margin)
        if self.groups == 1 or padded.dtype != torch.bfloat16 or not taught_on_cpu(padded):
            return super().forward(padded)
        # The backward pass of depthwise kernels takes a CPU several times as long in bfloat16.
        with torch.autocast("cpu", enabled=False):
            return super().forward(padded.float()).bfloat16()


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.widens = expand > 1
        if self.widens:
            self.expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self.bn0 = _norm(wide)
        self.depthwise_conv = _SameConv(wide, wide, kernel, stride, groups=wide)
        self.bn1 = _norm(wide)
        self.project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        h = F.relu6(self.bn0(self.expand_conv(x))) if self.widens else x
        h = F.relu6(self.bn1(self.depthwise_conv(h)))
        h = self.bn2(self.project_conv(h))
        return h + x if self.residual else h


class MobileEncoder(nn.Module):
    """EfficientNet-Lite without its classifier.

    Parameters
    ----------
    name : {"efficientnet-lite0", "efficientnet-lite1"}

    Attributes
    ----------
    channels : tuple of int
        Of the feature maps that :meth:`forward` returns.
    """

    channels = (16, 24, 40, 112, 320)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.conv_stem = _SameConv(3, _STEM, 3, 2)
        self.bn0 = _norm(_STEM)
        blocks: list[InvertedResidual] = []
        self._ends: set[int] = set()
        inputs = _STEM
        for index, stage in enumerate(_STAGES):
            fixed = index in (0, len(_STAGES) - 1)
            count = stage.blocks if fixed else math.ceil(stage.blocks * DEPTHS[name])
            for i in range(count):
                stride = stage.stride if i == 0 else 1
                blocks.append(
                    InvertedResidual(inputs, stage.outputs, stage.kernel, stride, stage.expand)
                )
                inputs = stage.outputs
            # The last map of each size is the one that is handed out.
            if index + 1 == len(_STAGES) or _STAGES[index + 1].stride > 1:
                self._ends.add(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x` (B, 3, H, W)."""
        h = F.relu6(self.bn0(self.conv_stem(x)))
        found = []
        for index, block in enumerate(self.blocks):
            h = block(h)
            if index in self._ends:
                found.append(h)
        return found


def published_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors of a published classifier, by the names of :class:`MobileEncoder`.

    ``_blocks.0._bn1.weight`` becomes ``blocks.0.bn1.weight``; the classifier is left out.
    """
    renamed = {
        ".".join(part.lstrip("_") for part in name.split(".")): tensor
        for name, tensor in tensors.items()
    }
    head = ("conv_head.", "bn1.", "fc.")
    return {name: tensor for name, tensor in renamed.items() if not name.startswith(head)}


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)
