"""Autoencoders: pixels to latents and back.

Two kinds of our own: the VQ-VAE of the thesis (diffusers' ``VQModel``, optionally on
pixel-unshuffled input) and a small convolutional one in the shape of TAESD; and any autoencoder of
diffusers as it is. All map RGB in [-1, 1] to latents and back; :class:`LatentSpace` adds the
measured statistics, so that a diffusion network sees unit variance.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_histoaug.models.diffusers_autoencoder import DiffusersAutoencoder

COLOUR_SCALE = 2.5
"""Brings the mean colours of stained tissue, in [-1, 1], to about unit variance."""


class TinyAutoencoderConfig(BaseModel):
    """The shape of a :class:`TinyAutoencoder`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_channels: int = Field(32, ge=1, description="all of them, mean colours included")
    colour_cell: int | None = Field(
        None,
        ge=1,
        description="side in pixels of the mean colours that come first; none if omitted",
    )
    width: int = Field(64, ge=8)
    blocks: int = Field(3, ge=1, description="residual blocks a level")
    levels: int = Field(3, ge=1, description="down-samplings by two")
    noise: float = Field(0.0, ge=0, description="mean noise on the latents while training")

    @property
    def factor(self) -> int:
        """Pixels a latent cell covers, along each axis."""
        return int(2**self.levels)

    @property
    def colours(self) -> int:
        """How many latents are mean colours."""
        return 3 * (self.factor // self.colour_cell) ** 2 if self.colour_cell else 0

    @property
    def learned(self) -> int:
        """How many latents the encoder makes; none is allowed."""
        return self.latent_channels - self.colours


class VQAutoencoderConfig(BaseModel):
    """The shape of a :class:`VQAutoencoder`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_channels: int = Field(4, ge=1)
    codes: int = Field(8192, ge=2, description="codebook size")
    widths: tuple[int, ...] = Field((64, 128, 256), description="channels a level")
    blocks: int = Field(1, ge=1, description="residual blocks a level")
    unshuffle: int = Field(1, ge=1, description="pixels folded into channels on entry")
    attention: bool = Field(False, description="self-attention in the middle")


class _TinyBlock(nn.Module):
    """Three convolutions around a skip; in the coarsest level also a channel-mixing branch."""

    def __init__(self, width: int, *, mix: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.pool = (
            nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )
            if mix
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


def _tiny_encoder(config: TinyAutoencoderConfig) -> list[nn.Module]:
    w = config.width
    layers: list[nn.Module] = [nn.Conv2d(3, w, 3, padding=1), _TinyBlock(w, mix=False)]
    for level in range(1, config.levels + 1):
        layers.append(nn.Conv2d(w, w, 3, stride=2, padding=1, bias=False))
        layers += [_TinyBlock(w, mix=level == config.levels) for _ in range(config.blocks)]
    return [*layers, nn.Conv2d(w, config.learned, 3, padding=1)]


class TinyAutoencoder(nn.Module):
    """A small deterministic autoencoder in the shape of TAESD (madebyollin/taesd, MIT).

    With the default configuration the parameters line up, in order, with those of its FLUX.2
    variant, whose weights are a good start (see :func:`load_taesd`).

    With ``config.colour_cell`` the first latents are not learned: they are the tissue's own
    colours, averaged over cells of so many pixels and folded to the latents' size. Learned latents
    under noise use every cell to the full and come out nearly uncorrelated from cell to cell, which
    leaves a diffusion network nothing to predict; mean colours are smooth, and they are what
    tells a lumen and red cells from stroma. Without any learned latent there is no encoder.
    """

    def __init__(self, config: TinyAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        coarse = config.levels
        self.encoder = nn.Sequential(*(_tiny_encoder(config) if config.learned else []))
        decoder: list[nn.Module] = [nn.Conv2d(config.latent_channels, w, 3, padding=1), nn.ReLU()]
        for level in range(coarse, 0, -1):
            decoder += [_TinyBlock(w, mix=level == coarse) for _ in range(config.blocks)]
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(w, w, 3, padding=1, bias=False)]
        decoder += [_TinyBlock(w, mix=False), nn.Conv2d(w, 3, 3, padding=1)]
        self.decoder = nn.Sequential(*decoder)

    @property
    def factor(self) -> int:
        """Pixels a latent cell covers, along each axis."""
        return self.config.factor

    def encode(self, image: Tensor) -> Tensor:
        """Latents (B, C, H / factor, W / factor) of RGB (B, 3, H, W) in [-1, 1]."""
        parts = []
        if self.config.colour_cell:
            means = F.avg_pool2d(image, self.config.colour_cell) * COLOUR_SCALE
            parts.append(F.pixel_unshuffle(means, self.factor // self.config.colour_cell))
        if self.config.learned:
            parts.append(self.encoder((image + 1) / 2))
        return torch.cat(parts, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """RGB (B, 3, H, W), about [-1, 1], of latents; these are softly limited to +-3 first."""
        return self.decoder(torch.tanh(latents / 3) * 3) * 2 - 1

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and extra loss of RGB (B, 3, H, W) in [-1, 1].

        With ``config.noise`` the learned latents are held near unit variance and the decoder
        learns to bear errors as a diffusion network makes them: of up to twice that size, another
        one for every example.
        """
        latents = self.encode(image)
        spread = image.new_zeros(())
        if not self.config.noise:
            return self.decode(latents), spread
        if self.config.learned:
            learned = latents[:, self.config.colours :].float()
            spread = 0.1 * (learned.square().mean() - 1).square()
        if self.training:
            strength = 2 * self.config.noise * torch.rand_like(latents[:, :1, :1, :1])
            latents = latents + strength * torch.randn_like(latents)
        return self.decode(latents), spread


def load_taesd(
    model: TinyAutoencoder, encoder: dict[str, Tensor], decoder: dict[str, Tensor]
) -> None:
    """Fill `model` with the published weights of TAESD's FLUX.2 variant, matched by order.

    Parameters
    ----------
    model : TinyAutoencoder
        With the default configuration.
    encoder, decoder : dict of Tensor
        The two published state dicts, fp16 or fp32.

    Raises
    ------
    ValueError
        When a tensor's shape differs from the model's.
    """
    for part, weights in ((model.encoder, encoder), (model.decoder, decoder)):
        ours = part.state_dict()
        pairs = list(zip(ours, weights.values(), strict=True))
        part.load_state_dict({name: tensor.float() for name, tensor in pairs}, strict=True)


def narrowed(
    model: TinyAutoencoder, latents: Tensor, channels: int, noise: float
) -> TinyAutoencoder:
    """Cut the latents down to their first principal directions; a start for further training.

    Parameters
    ----------
    model : TinyAutoencoder
        The autoencoder to start from.
    latents : Tensor, (N, C)
        A sample of its latent vectors.
    channels : int
        Directions to keep, each scaled to unit variance.
    noise : float
        ``config.noise`` of the new autoencoder.
    """
    centre = latents.mean(0)
    _, singular, directions = torch.linalg.svd(latents - centre, full_matrices=False)
    std = singular[:channels] / len(latents) ** 0.5
    inward, outward = directions[:channels] / std[:, None], directions[:channels].T * std
    shape = {**model.config.model_dump(), "latent_channels": channels, "noise": noise}
    small = TinyAutoencoder(TinyAutoencoderConfig.model_validate(shape))
    state = dict(model.state_dict())
    last = f"encoder.{len(model.encoder) - 1}"
    state[f"{last}.weight"] = torch.einsum("kc,cihw->kihw", inward, state[f"{last}.weight"])
    state[f"{last}.bias"] = inward @ (state[f"{last}.bias"] - centre)
    first = state["decoder.0.weight"]
    state["decoder.0.weight"] = torch.einsum("ochw,ck->okhw", first, outward)
    state["decoder.0.bias"] = state["decoder.0.bias"] + torch.einsum("ochw,c->o", first, centre)
    small.load_state_dict(state)
    return small


def with_colour(model: TinyAutoencoder, cell: int, *, keep: bool = True) -> TinyAutoencoder:
    """Give an autoencoder the mean colours of `cell` pixels as latents; a start for more training.

    Parameters
    ----------
    model : TinyAutoencoder
        Without mean colours.
    cell : int
        Side of the cells; a divisor of ``model.factor``.
    keep : bool
        Keep the learned latents, and let the decoder ignore the colours at first; else the
        decoder's first layer starts anew.
    """
    shape = {**model.config.model_dump(), "colour_cell": cell}
    colours = 3 * (model.factor // cell) ** 2
    shape["latent_channels"] = colours + (model.config.latent_channels if keep else 0)
    made = TinyAutoencoder(TinyAutoencoderConfig.model_validate(shape))
    state = dict(model.state_dict())
    if keep:
        first = state["decoder.0.weight"]
        blank = first.new_zeros(len(first), colours, *first.shape[2:])
        state["decoder.0.weight"] = torch.cat([blank, first], 1)
    else:
        state = {name: part for name, part in state.items() if name.startswith("decoder.")}
        state.update({n: p for n, p in made.state_dict().items() if n.startswith("decoder.0.")})
    made.load_state_dict(state)
    return made


class VQAutoencoder(nn.Module):
    """The VQ-VAE of the thesis: diffusers' ``VQModel``, without its default middle attention.

    Latents are the *pre-quantised* ones; decoding quantises them (as diffusers does), which also
    repairs small errors of a diffusion network.
    """

    def __init__(self, config: VQAutoencoderConfig) -> None:
        super().__init__()
        from diffusers.models.autoencoders.vq_model import VQModel

        self.config = config
        pixels = 3 * config.unshuffle**2
        levels = len(config.widths)
        kinds: dict[str, Any] = {
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
        }
        self.vq = VQModel(
            in_channels=pixels,
            out_channels=pixels,
            block_out_channels=config.widths,
            layers_per_block=config.blocks,
            latent_channels=config.latent_channels,
            num_vq_embeddings=config.codes,
            vq_embed_dim=config.latent_channels,
            norm_num_groups=16,
            mid_block_add_attention=config.attention,
            **kinds,
        )

    @property
    def factor(self) -> int:
        """Pixels a latent cell covers, along each axis."""
        return int(self.config.unshuffle * 2 ** (len(self.config.widths) - 1))

    def encode(self, image: Tensor) -> Tensor:
        """Pre-quantised latents (B, C, H / factor, W / factor) of RGB (B, 3, H, W) in [-1, 1]."""
        return self.vq.encode(F.pixel_unshuffle(image, self.config.unshuffle)).latents

    def decode(self, latents: Tensor) -> Tensor:
        """RGB (B, 3, H, W), about [-1, 1], of latents, which are quantised first."""
        return F.pixel_shuffle(self.vq.decode(latents).sample, self.config.unshuffle)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and codebook + commitment loss of RGB (B, 3, H, W) in [-1, 1]."""
        out = self.vq.decode(self.encode(image), return_dict=True)
        return F.pixel_shuffle(out.sample, self.config.unshuffle), out.commit_loss.mean()


Autoencoder = TinyAutoencoder | VQAutoencoder | DiffusersAutoencoder


class LatentStatistics(BaseModel):
    """Mean and standard deviation a latent channel, measured on the training tissue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, latents: Tensor) -> LatentStatistics:
        """Measure them on latents (B, C, h, w)."""
        flat = latents.float().transpose(0, 1).flatten(1)
        return cls(mean=tuple(flat.mean(1).tolist()), std=tuple(flat.std(1).tolist()))


class LatentSpace(nn.Module):
    """An autoencoder whose latents have zero mean and unit variance a channel.

    Parameters
    ----------
    autoencoder : Autoencoder
        Any module with ``encode``, ``decode`` and ``factor``.
    statistics : LatentStatistics
        As measured on the training tissue.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, autoencoder: Autoencoder, statistics: LatentStatistics) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.statistics = statistics
        self.register_buffer("mean", torch.tensor(statistics.mean)[None, :, None, None], False)
        self.register_buffer("std", torch.tensor(statistics.std)[None, :, None, None], False)

    @property
    def factor(self) -> int:
        """Pixels a latent cell covers, along each axis."""
        return self.autoencoder.factor

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return len(self.statistics.mean)

    def encode(self, image: Tensor) -> Tensor:
        """Normalised latents (B, C, h, w) of RGB (B, 3, H, W) in [-1, 1]."""
        return (self.autoencoder.encode(image) - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """RGB (B, 3, H, W), about [-1, 1], of normalised latents."""
        return self.autoencoder.decode(latents * self.std + self.mean)
