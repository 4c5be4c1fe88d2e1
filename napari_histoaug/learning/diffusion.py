"""Teaching the SPADE diffusion U-Net: two-level time, label dropout, loss in the hole only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.diffusion import linear_schedule, noise_from_velocity, sample_inpainting
from napari_histoaug.diffusion.predictions import add_noise, velocity
from napari_histoaug.learning.batches import Batch, Examples
from napari_histoaug.learning.config import ConfigError, DiffusionTraining
from napari_histoaug.learning.holes import soft_labels, training_hole
from napari_histoaug.learning.pictures import grid
from napari_histoaug.learning.task import StepLoss, Task
from napari_histoaug.learning.tissue import Tissue
from napari_histoaug.models import LatentSpace, SpadeUNet, channels_last

VALIDATION_BATCHES = 8
SAMPLES = 4


class DiffusionTask(Task):
    """Loss of noising tissue inside a hole and asking the network for the noise (or v).

    Parameters
    ----------
    config : DiffusionTraining
        Sizes, shares, prediction.
    train, held_out : Tissue
        Pixels or latents.
    space : LatentSpace, optional
        What makes pictures of latents; pixels need none.
    """

    def __init__(
        self,
        config: DiffusionTraining,
        train: Tissue,
        held_out: Tissue,
        space: LatentSpace | None = None,
    ) -> None:
        super().__init__()
        self.config, self.train, self.held_out, self.space = config, train, held_out, space
        self.schedule = linear_schedule(1000)

    def batch(self, examples: Examples) -> Batch:
        """Cut a batch.

        Returns
        -------
        dict
            "x0" float32 (B, C, H / factor, W / factor), "noise" of the same shape; "labels" float32
            (B, classes + 2, H / factor, W / factor); "hole" bool (B, 1, H / factor, W / factor);
            "t" int64 (B,); "data_set" int64 (B,), 0 = not told.
        """
        return self._cut(self.train, examples, self.config.full_share)

    def _cut(self, tissue: Tissue, examples: Examples, full_share: float) -> Batch:
        parts = [
            self._example(tissue, rng, int(stratum) / examples.total, examples.total, full_share)
            for rng, stratum in zip(examples.generators(), examples.strata(), strict=True)
        ]
        return {name: torch.from_numpy(np.stack([p[name] for p in parts])) for name in parts[0]}

    def _example(
        self,
        tissue: Tissue,
        rng: np.random.Generator,
        stratum: float,
        strata: int,
        full_share: float,
    ) -> dict[str, npt.NDArray[np.generic]]:
        c, f = self.config, tissue.factor
        x0, labels, data_set = tissue.cut_known(rng, c.data.crop)
        hole = training_hole(rng, labels, f * c.model.unshuffle, full_share)
        drop = bool(rng.random() < c.label_drop)
        # Stratified over the batch: the same distribution with less noise in the gradient.
        t = (stratum + rng.random() / strata) * 1000
        t = t / 10 if rng.random() < c.low_noise_share else t
        return {
            "x0": x0,
            "labels": soft_labels(labels, hole, len(c.data.classes), drop=drop, factor=f),
            "hole": hole[None, ::f, ::f],
            "t": np.asarray(int(t), np.int64),
            "noise": rng.standard_normal(x0.shape, dtype=np.float32),
            # Where no label is told the data set is not either: a network for unknown tissue.
            "data_set": np.asarray(0 if drop else data_set, np.int64),
        }

    def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        """Mean squared error over the holes of a batch."""
        return StepLoss(self._loss(model, batch))

    def _loss(self, model: nn.Module, batch: Batch) -> Tensor:
        x0, noise, t, hole = (batch[name] for name in ("x0", "noise", "t", "hole"))
        level = self.schedule.gather(t)
        x = torch.where(hole, add_noise(x0, noise, level), x0)
        x = x.contiguous(memory_format=torch.channels_last)
        out = model(x, t, hole, batch["labels"], batch["data_set"]).float()
        target = velocity(x0, noise, level) if self.config.model.prediction == "v" else noise
        errors = F.mse_loss(out, target, reduction="none").mean(1, keepdim=True)
        # Every example counts the same, however small its hole.
        shares = hole.float().mean((1, 2, 3))
        each = (errors * hole).mean((1, 2, 3)) / shares
        if self.config.min_snr is not None:
            weights = min_snr_weights(level, self.config.min_snr, self.config.model.prediction)
            each = each * weights.to(each)
        return each.mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The same loss on fixed held-out batches."""
        c, losses = self.config, []
        for n in range(VALIDATION_BATCHES):
            examples = Examples(c.loop.seed, n, c.loop.batch, 0, c.loop.batch, held_out=True)
            batch = self._cut(self.held_out, examples, c.full_share)
            losses.append(float(self._loss(model, moved_to(batch, model))))
        return {"held_out_loss": float(np.mean(losses))}

    def samples(self, model: nn.Module) -> npt.NDArray[np.uint8]:
        """Held-out crops with a hole, filled, and as they were."""
        c = self.config
        examples = Examples(c.loop.seed, 0, SAMPLES, 0, SAMPLES, held_out=True)
        batch = moved_to(
            self._cut(self.held_out, examples, 1.0 if c.full_share == 1 else 0.0), model
        )
        x0, hole, labels = batch["x0"], batch["hole"], batch["labels"]

        def denoise(x: Tensor, t: Tensor, where: Tensor) -> Tensor:
            x = x.contiguous(memory_format=torch.channels_last)
            out = model(x, t, where, labels, batch["data_set"]).float()
            level = self.schedule.gather(t)
            return noise_from_velocity(x, out, level) if c.model.prediction == "v" else out

        filled = sample_inpainting(
            denoise, x0, hole, schedule=self.schedule, steps=c.sample_steps, solver="ancestral"
        )
        real, made = (self._picture(state) for state in (x0, filled))
        shown = F.interpolate(hole.float(), size=real.shape[2:]) > 0.5
        return grid([torch.where(shown, torch.zeros_like(real), real), made, real])

    def _picture(self, state: Tensor) -> Tensor:
        return state if self.space is None else self.space.to(state.device).decode(state)


def moved_to(batch: Batch, model: nn.Module) -> Batch:
    """The batch on the device of the network."""
    device = next(model.parameters()).device
    return {name: each.to(device) for name, each in batch.items()}


def min_snr_weights(alpha_bar: Tensor, gamma: float, prediction: str) -> Tensor:
    """Weights of the squared error that keep easy levels from ruling (Hang et al. 2023).

    Parameters
    ----------
    alpha_bar : Tensor
        Level of each example.
    gamma : float
        Largest signal-to-noise ratio that counts.
    prediction : {"epsilon", "v"}
        ``min(SNR, gamma) / SNR`` for the noise; for v the divisor is ``SNR + 1``.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / (snr + 1 if prediction == "v" else snr)


def new_unet(config: DiffusionTraining, tissue: Tissue) -> SpadeUNet:
    """Build the network, with the number of channels that the tissue has."""
    shape = config.model.model_copy(
        update={
            "channels": tissue.facts.channels,
            "classes": len(config.data.classes),
            "datasets": len(config.data.data_sets),
        }
    )
    torch.manual_seed(config.loop.seed)
    try:
        model = SpadeUNet(shape)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"No network can be built as model says: {error}.") from None
    return channels_last(model)
