"""Teaching an autoencoder: absolute error, a perceptual term, and its own codebook loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.learning.adversarial import (
    adversarial_weight,
    fooling_loss,
    judging_loss,
    new_discriminator,
)
from napari_histoaug.learning.config import AutoencoderTraining, ConfigError
from napari_histoaug.learning.loop import StepLoss
from napari_histoaug.learning.perceptual import perceptual_loss
from napari_histoaug.learning.tissue import Tissue
from napari_histoaug.models import TinyAutoencoder, VQAutoencoder, channels_last, load_autoencoder
from napari_histoaug.models.autoencoders import Autoencoder

VALIDATION_CROPS = 32


class AutoencoderTask:
    """Reconstruction of random crops."""

    def __init__(self, config: AutoencoderTraining, train: Tissue, held_out: Tissue) -> None:
        self.config, self.train, self.held_out = config, train, held_out
        self.perceptual = perceptual_loss(config.perceptual.network)
        self.opponent: nn.Module | None = new_discriminator(config.adversarial)
        self.opponent_rate = config.adversarial.learning_rate

    def loss(self, model: nn.Module, step: int) -> StepLoss:
        """Every term of the loss of the batch that belongs to `step`."""
        seed = [self.config.loop.seed, 0, step]
        image = self._crops(self.train, seed, self.config.loop.batch)
        # The noise a network draws itself shall depend on the step only, too.
        torch.manual_seed(int(np.random.default_rng(seed).integers(2**31)))
        out, extra = model(image)
        out = out.float()
        parts = {"l1": F.l1_loss(out, image), "codebook": extra.float()}
        if self.config.hue_weight:
            parts["hue"] = self.config.hue_weight * hue_loss(out, image)
        if self.perceptual is not None:
            parts["perceptual"] = self.config.perceptual.weight * self.perceptual(out, image)
        judging = self._oppose(parts, image, out, step)
        return StepLoss(torch.stack(list(parts.values())).sum(), parts, judging)

    def _oppose(
        self, parts: dict[str, Tensor], image: Tensor, out: Tensor, step: int
    ) -> Callable[[nn.Module], Tensor] | None:
        """Add the discriminator's verdict to `parts`; return how it is taught itself."""
        adversarial = self.config.adversarial
        if self.opponent is None or step < adversarial.start_step:
            return None
        weight = adversarial_weight(adversarial, step)
        parts["adversarial"] = weight * fooling_loss(self.opponent(out))
        shown = torch.cat([image, out.detach()])
        return lambda opponent: judging_loss(opponent(shown))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR, in dB, on fixed held-out crops."""
        image = self._crops(self.held_out, [self.config.loop.seed, 1], VALIDATION_CROPS)
        errors = []
        for part in image.split(8):
            out = model(part)[0].float().clamp(-1, 1)
            errors.append(((out - part) / 2).square().mean((1, 2, 3)))
        psnr = -10 * torch.log10(torch.cat(errors))
        return {"held_out_psnr": float(psnr.mean())}

    def _crops(self, tissue: Tissue, seed: list[int], count: int) -> Tensor:
        rng = np.random.default_rng(seed)
        crops = [tissue.cut(rng, self.config.data.crop)[0] for _ in range(count)]
        return torch.from_numpy(np.stack(crops)).contiguous(memory_format=torch.channels_last)


def hue_loss(out: Tensor, image: Tensor) -> Tensor:
    """Mean squared error of the colour differences R - G and G - B of 4 x 4 px means.

    Red cells differ from pink stroma in hue, hardly in brightness, and cover little: to the other
    terms a vessel filled with pink cells is nearly right.

    Parameters
    ----------
    out, image : Tensor, (B, 3, H, W), float
        In [-1, 1].
    """
    pooled = F.avg_pool2d(out - image, 4)
    return (pooled[:, :-1] - pooled[:, 1:]).square().mean()


def new_autoencoder(config: AutoencoderTraining) -> Autoencoder:
    """Build the configured autoencoder, or load the one to start from."""
    if config.start is not None:
        model: Autoencoder = load_autoencoder(config.start)
    elif config.model is not None:
        model = VQAutoencoder(config.model)
    elif config.tiny is not None:
        model = TinyAutoencoder(config.tiny)
    else:
        raise ConfigError("The configuration names no autoencoder; set model, tiny or start.")
    if config.freeze_encoder:
        if not isinstance(model, TinyAutoencoder):
            raise ConfigError("Only the tiny autoencoder can be trained with a frozen encoder.")
        model.encoder.requires_grad_(False)
    return channels_last(model)
