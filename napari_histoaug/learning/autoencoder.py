"""Teaching an autoencoder: absolute error, a perceptual term, and its own codebook loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.learning.adversarial import (
    adversarial_weight,
    fooling_loss,
    judging_loss,
    new_discriminator,
)
from napari_histoaug.learning.batches import Batch, Examples
from napari_histoaug.learning.codebook import Codebook
from napari_histoaug.learning.config import AutoencoderTraining, ConfigError
from napari_histoaug.learning.perceptual import perceptual_loss
from napari_histoaug.learning.pictures import grid
from napari_histoaug.learning.task import StepLoss, Task
from napari_histoaug.learning.tissue import Tissue
from napari_histoaug.models import TinyAutoencoder, VQAutoencoder, channels_last, load_autoencoder
from napari_histoaug.models.autoencoders import Autoencoder

VALIDATION_CROPS = 32
SAMPLE_CROPS = 6


class AutoencoderTask(Task):
    """Reconstruction of random crops.

    Parameters
    ----------
    config : AutoencoderTraining
        The terms of the loss and their weights.
    model : Autoencoder
        Whose codebook, if it has one, is kept alive.
    train, held_out : Tissue
        Pixels.
    """

    def __init__(
        self, config: AutoencoderTraining, model: Autoencoder, train: Tissue, held_out: Tissue
    ) -> None:
        super().__init__()
        self.config, self.train, self.held_out = config, train, held_out
        self.perceptual = perceptual_loss(config.perceptual.network)
        self.opponent = new_discriminator(config.adversarial)
        self.opponent_rate = config.adversarial.learning_rate
        self.codebook = None
        if isinstance(model, VQAutoencoder):
            self.codebook = Codebook(model, config.revive_every, config.loop.seed)
            self.memory["codes_used"] = self.codebook.used

    def batch(self, examples: Examples) -> Batch:
        """Cut crops, "image" (B, 3, H, W)."""
        return self._crops(self.train, examples)

    def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        """Every term of the loss of a batch."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        out, extra = model(image)
        out = out.float()
        parts = {"l1": F.l1_loss(out, image), "codebook": extra.float()}
        if self.config.hue_weight:
            parts["hue"] = self.config.hue_weight * hue_loss(out, image)
        if self.perceptual is not None:
            perceptual = self.perceptual.to(image.device)
            parts["perceptual"] = self.config.perceptual.weight * perceptual(out, image)
        judging = self._oppose(parts, image, out, step)
        return StepLoss(torch.stack(list(parts.values())).sum(), parts, judging)

    def after_step(self, model: nn.Module, step: int) -> dict[str, float]:
        """Revive dead codes."""
        if self.codebook is None:
            return {}
        assert isinstance(model, VQAutoencoder)
        return self.codebook.after_step(model, step)

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
        errors = []
        for part in self._checks(model, VALIDATION_CROPS).split(8):
            out = model(part)[0].float().clamp(-1, 1)
            errors.append(((out - part) / 2).square().mean((1, 2, 3)))
        psnr = -10 * torch.log10(torch.cat(errors))
        return {"held_out_psnr": float(psnr.mean())}

    def samples(self, model: nn.Module) -> npt.NDArray[np.uint8]:
        """Held-out crops, and below them what the network makes of them."""
        image = self._checks(model, SAMPLE_CROPS)
        return grid([image, model(image)[0]])

    def _checks(self, model: nn.Module, count: int) -> Tensor:
        examples = Examples(self.config.loop.seed, 0, count, 0, count, held_out=True)
        image = self._crops(self.held_out, examples)["image"].to(next(model.parameters()).device)
        return image.contiguous(memory_format=torch.channels_last)

    def _crops(self, tissue: Tissue, examples: Examples) -> Batch:
        crops = [tissue.cut(rng, self.config.data.crop)[0] for rng in examples.generators()]
        return {"image": torch.from_numpy(np.stack(crops))}


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
    torch.manual_seed(config.loop.seed)
    try:
        model = _built(config)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"No autoencoder can be built as configured: {error}.") from None
    if config.freeze_encoder:
        if not isinstance(model, TinyAutoencoder):
            raise ConfigError("Only the tiny autoencoder can be trained with a frozen encoder.")
        model.encoder.requires_grad_(False)
    if isinstance(model, VQAutoencoder):
        # diffusers weights the wrong one of the two terms with 0.25 unless told not to.
        model.vq.quantize.legacy = False
    return channels_last(model)


def _built(config: AutoencoderTraining) -> Autoencoder:
    if config.start is not None:
        return load_autoencoder(config.start)
    if config.model is not None:
        return VQAutoencoder(config.model)
    if config.tiny is not None:
        return TinyAutoencoder(config.tiny)
    raise ConfigError("The configuration names no autoencoder; set model, tiny or start.")
