"""The diffusion U-Net of this project: one network for synthesis and for inpainting.

The thesis's shape: residual blocks with SiLU and GroupNorm, self-attention only in the bottleneck,
the label map entering the decoder through SPADE, a sinusoidal timestep embedding. Added to it: the
hole as an input and two-level time (:class:`~napari_histoaug.models.blocks.TwoLevelTime`), an
explicit null label for classifier-free guidance, and an optional data-set embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_histoaug.models.blocks import ResidualBlock, SelfAttention, silence, timestep_embedding
from napari_histoaug.models.cheaper import GroupNorm, doubled


class SpadeUNetConfig(BaseModel):
    """The shape of a :class:`SpadeUNet`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(3, ge=1, description="channels of the state, before unshuffling")
    classes: int = Field(1, ge=1, description="label classes, without background and null")
    width: int = Field(64, ge=8, description="channels of the first level")
    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8)
    blocks: int = Field(1, ge=1, description="residual blocks a level")
    spade_hidden: int = Field(128, ge=8)
    unshuffle: int = Field(1, ge=1, description="pixels folded into channels on entry")
    label_input: bool = Field(False, description="also feed the pooled label map to the encoder")
    datasets: int = Field(0, ge=0, description="known data sets; 0 = no data-set embedding")
    dropout: float = Field(0.0, ge=0, lt=1)
    prediction: Literal["epsilon", "v"] = "v"


PRESETS: dict[str, SpadeUNetConfig] = {
    # The thesis: four down-samplings, attention in the bottleneck, about 90 M parameters.
    "thesis-90m": SpadeUNetConfig(spade_hidden=224, prediction="epsilon"),
    "latent": SpadeUNetConfig(channels=4, spade_hidden=224, prediction="epsilon"),
    # What is shipped: small enough for a laptop, 11.4 M parameters.
    "bundled": SpadeUNetConfig(
        channels=12,
        width=96,
        multipliers=(1, 2, 2),
        blocks=1,
        spade_hidden=32,
        label_input=True,
    ),
}

SpadeMaps = list[tuple[Tensor, Tensor]]


def pool_labels(labels: Tensor, height: int, width: int) -> Tensor:
    """Area-pool soft labels (B, K, H, W): thin structures become fractions, they never vanish."""
    if tuple(labels.shape[2:]) == (height, width):
        return labels
    return F.adaptive_avg_pool2d(labels, (height, width))


class SpadeUNet(nn.Module):
    """SPADE-conditioned diffusion U-Net with two-level time.

    Parameters
    ----------
    config : SpadeUNetConfig
        The shape. Sides of the input must be multiples of :attr:`stride`.

    Notes
    -----
    The label map has ``classes + 2`` channels: background, the classes, null. Null says "no label
    is given" (all zeros would be ambiguous with "no class").
    """

    def __init__(self, config: SpadeUNetConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.label_channels = c.classes + 2
        self.stride = c.unshuffle * 2 ** (len(c.multipliers) - 1)
        cells = c.unshuffle**2
        inputs = cells * (c.channels + 1) + (self.label_channels if c.label_input else 0)
        self.time_width = 4 * c.width
        self.embed = nn.Sequential(
            nn.Linear(c.width, self.time_width),
            nn.SiLU(),
            nn.Linear(self.time_width, self.time_width),
        )
        self.dataset = nn.Embedding(c.datasets + 1, self.time_width) if c.datasets else None
        widths = [c.width * m for m in c.multipliers]
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        skips = self._build_encoder(widths)
        self.middle_in = self._block(widths[-1], widths[-1])
        self.attention = SelfAttention(widths[-1])
        self.middle_out = self._block(widths[-1], widths[-1])
        self._build_decoder(widths, skips)
        self.leave_norm = GroupNorm(min(32, widths[0] // 4), widths[0])
        self.leave = nn.Conv2d(widths[0], cells * c.channels, 3, padding=1)
        silence(self.leave)

    def _block(self, inputs: int, outputs: int, *, spade: bool = False) -> ResidualBlock:
        return ResidualBlock(
            inputs,
            outputs,
            self.time_width,
            labels=self.label_channels if spade else 0,
            spade_hidden=self.config.spade_hidden,
            dropout=self.config.dropout,
        )

    def _build_encoder(self, widths: Sequence[int]) -> list[int]:
        self.down_blocks = nn.ModuleList()
        self.down_samples = nn.ModuleList()
        skips, channels = [widths[0]], widths[0]
        for level, width in enumerate(widths):
            for _ in range(self.config.blocks):
                self.down_blocks.append(self._block(channels, width))
                channels = width
                skips.append(channels)
            if level < len(widths) - 1:
                self.down_samples.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                skips.append(channels)
        return skips

    def _build_decoder(self, widths: Sequence[int], skips: list[int]) -> None:
        self.up_blocks = nn.ModuleList()
        self.up_samples = nn.ModuleList()
        channels = widths[-1]
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(self.config.blocks + 1):
                self.up_blocks.append(self._block(channels + skips.pop(), width, spade=True))
                channels = width
            if level > 0:
                self.up_samples.append(nn.Conv2d(channels, channels, 3, padding=1))

    def modulations(self, labels: Tensor, size: tuple[int, int]) -> SpadeMaps:
        """Return every decoder block's SPADE factor (1 + scale) and shift for a fixed label map.

        Parameters
        ----------
        labels : Tensor, (B, classes + 2, h, w), float
            Soft one-hot labels at any resolution not below the network's first level.
        size : (int, int)
            Height and width of the state the network will be called with.

        Notes
        -----
        The label map does not change during sampling: compute this once and pass it to every call.
        """
        maps: SpadeMaps = []
        index = 0
        for pooled in reversed(self._pooled(labels, size)):
            for _ in range(self.config.blocks + 1):
                block = self.up_blocks[index]
                assert isinstance(block, ResidualBlock)
                assert block.modulation is not None
                maps.append(block.modulation(pooled))
                index += 1
        return maps

    def _pooled(self, labels: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """Labels at every level, the first one first; each is pooled from the one before it."""
        found = []
        for level in range(len(self.config.multipliers)):
            cell = self.config.unshuffle * 2**level
            labels = pool_labels(labels, size[0] // cell, size[1] // cell)
            found.append(labels)
        return found

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        hole: Tensor,
        labels: Tensor,
        dataset: Tensor | None = None,
        maps: SpadeMaps | None = None,
    ) -> Tensor:
        """Predict epsilon or v (``config.prediction``) of the hole.

        Parameters
        ----------
        x : Tensor, (B, channels, H, W)
            The state: hole pixels at level `t`, the others clean.
        t : Tensor, (B,), int64
            0-based training timestep of the hole pixels.
        hole : Tensor, (B, 1, H, W), bool or float
            True where `x` is noisy; all True for plain denoising.
        labels : Tensor, (B, classes + 2, h, w), float
            Soft one-hot label map, area-pooled here to every resolution.
        dataset : Tensor, (B,), int64, optional
            0 = unknown, else 1 + index of the data set.
        maps : list, optional
            What :meth:`modulations` returned for `labels`.

        Returns
        -------
        Tensor, (B, channels, H, W)
        """
        c = self.config
        if maps is None or c.label_input:
            labels = pool_labels(labels, x.shape[2] // c.unshuffle, x.shape[3] // c.unshuffle)
        if maps is None:
            maps = self.modulations(labels, (x.shape[2], x.shape[3]))
        m = hole.to(x.dtype)
        parts = [F.pixel_unshuffle(x, c.unshuffle), F.pixel_unshuffle(m, c.unshuffle)]
        if c.label_input:
            parts.append(labels.to(x.dtype))
        noisy, clean = self._times(t, dataset, x.dtype)
        holes = [F.avg_pool2d(m, c.unshuffle)]
        for _ in c.multipliers[1:]:
            holes.append(F.avg_pool2d(holes[-1], 2))
        h = self._decode(
            *self._encode(torch.cat(parts, 1), noisy, clean, holes), noisy, clean, holes, maps
        )
        return F.pixel_shuffle(self.leave(F.silu(self.leave_norm(h))), c.unshuffle)

    def _times(
        self, t: Tensor, dataset: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        both = torch.cat([t, torch.zeros_like(t)])
        embedded = self.embed(timestep_embedding(both, self.config.width).to(dtype))
        if self.dataset is not None:
            which = torch.zeros_like(t) if dataset is None else dataset
            embedded = embedded + self.dataset(torch.cat([which, which]))
        noisy, clean = F.silu(embedded).chunk(2)
        return noisy, clean

    def _encode(
        self, h: Tensor, noisy: Tensor, clean: Tensor, holes: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        h = self.enter(h)
        skips = [h]
        blocks = iter(self.down_blocks)
        for level, hole in enumerate(holes):
            for _ in range(self.config.blocks):
                h = next(blocks)(h, noisy, clean, hole)
                skips.append(h)
            if level < len(holes) - 1:
                h = self.down_samples[level](h)
                skips.append(h)
        return h, skips

    def _decode(
        self,
        h: Tensor,
        skips: list[Tensor],
        noisy: Tensor,
        clean: Tensor,
        holes: list[Tensor],
        maps: SpadeMaps,
    ) -> Tensor:
        h = self.middle_in(h, noisy, clean, holes[-1])
        h = self.middle_out(self.attention(h), noisy, clean, holes[-1])
        blocks = iter(zip(self.up_blocks, maps, strict=True))
        for step, hole in enumerate(reversed(holes)):
            for _ in range(self.config.blocks + 1):
                block, spade = next(blocks)
                h = block(torch.cat([h, skips.pop()], dim=1), noisy, clean, hole, spade)
            if step < len(holes) - 1:
                convolution = self.up_samples[step]
                assert isinstance(convolution, nn.Conv2d)
                h = doubled(h, convolution)
        return h
