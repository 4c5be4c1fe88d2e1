"""Building blocks of the SPADE diffusion U-Net: two-level time, residuals, SPADE, attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.models.cheaper import GroupNorm, affine_between


def timestep_embedding(t: Tensor, width: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding of 0-based training timesteps.

    Parameters
    ----------
    t : Tensor, (B,)
        Timesteps, integer or float.
    width : int
        Even embedding width.

    Returns
    -------
    Tensor, (B, width), float32
        Cosines, then sines (Vaswani et al. 2017, section 3.5).
    """
    half = width // 2
    rates = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def groups_for(channels: int, most: int = 32) -> int:
    """Return the largest group count <= `most` that divides `channels` into groups of >= 4."""
    for groups in range(min(most, channels // 4), 0, -1):
        if channels % groups == 0:
            return groups
    return 1


def silence(layer: nn.Conv2d | nn.Linear) -> None:
    """Zero a layer, so that what it adds to begins as it is."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class TwoLevelTime(nn.Module):
    """Scale and shift that differ inside and outside the hole.

    The network sees two noise levels at once: pixels of the hole stand at level t, the known ones
    are clean (level 0). Both embeddings pass the same linear map, and the two results are mixed by
    the hole at this resolution: ``g = m g(t) + (1 - m) g(0)``. Where m is 1 everywhere this is the
    ordinary time conditioning, exactly (cf. pixel-wise time in TD-Paint, Mayet et al. 2024).
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * channels)
        silence(self.project)

    def forward(self, x: Tensor, noisy: Tensor, clean: Tensor, hole: Tensor) -> Tensor:
        """Modulate `x` (B, C, H, W) by embeddings (B, width) mixed by `hole` (B, 1, H, W)."""
        return affine_between(x, self.project(clean), self.project(noisy), hole)


class Modulation(nn.Module):
    """The SPADE map from a label map to scale and shift (Park et al. 2019, figure 3)."""

    def __init__(self, labels: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(labels, hidden, 3, padding=1)
        self.out = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (1 + scale, shift), each (B, channels, H, W), of soft labels (B, K, H, W)."""
        hidden = F.relu(self.shared(labels))
        assert self.out.bias is not None
        # Halves of one tensor would be read with gaps at every step.
        scale, shift = self.out.weight.chunk(2)
        at_scale, at_shift = self.out.bias.chunk(2)
        factor = F.conv2d(hidden, scale, 1 + at_scale, padding=1)
        return factor, F.conv2d(hidden, shift, at_shift, padding=1)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, with two-level time in the second half.

    In the decoder (`labels` > 0) the first normalisation is modulated by the label map (SPADE).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        time_width: int,
        *,
        labels: int = 0,
        spade_hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups_for(inputs), inputs, affine=labels == 0)
        self.modulation = Modulation(labels, spade_hidden, inputs) if labels else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = GroupNorm(groups_for(outputs), outputs)
        self.time = TwoLevelTime(time_width, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        silence(self.conv2)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(
        self,
        x: Tensor,
        noisy: Tensor,
        clean: Tensor,
        hole: Tensor,
        spade: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return (B, outputs, H, W); `spade` is this block's own modulation, if it has one."""
        h = self.norm1(x)
        if spade is not None:
            factor, shift = spade
            h = torch.addcmul(shift.to(h.dtype), h, factor.to(h.dtype))
        h = self.conv1(F.silu(h))
        h = self.time(self.norm2(h), noisy, clean, hole)
        return self.skip(x) + self.conv2(self.dropout(F.silu(h)))


class SelfAttention(nn.Module):
    """Multi-head self-attention over all positions; used in the bottleneck only."""

    def __init__(self, channels: int, head_width: int = 64) -> None:
        super().__init__()
        self.heads = max(1, channels // head_width)
        self.norm = GroupNorm(groups_for(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        silence(self.out)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (B, C, H, W) plus what each position gathered from the others."""
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, -1, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(-1, -2).reshape(batch, channels, height, width))
