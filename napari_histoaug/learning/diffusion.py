"""Teaching the SPADE diffusion U-Net: two-level time, label dropout, loss in the hole only."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.diffusion import linear_schedule
from napari_histoaug.diffusion.predictions import add_noise, velocity
from napari_histoaug.learning.config import DiffusionTraining
from napari_histoaug.learning.holes import soft_labels, training_hole
from napari_histoaug.learning.loop import StepLoss
from napari_histoaug.learning.tissue import Tissue
from napari_histoaug.models import SpadeUNet, channels_last

VALIDATION_BATCHES = 8


class DiffusionTask:
    """Loss of noising tissue inside a hole and asking the network for the noise (or v).

    Parameters
    ----------
    config : DiffusionTraining
        Sizes, shares, prediction.
    train, held_out : Tissue
        Pixels or latents.
    """

    def __init__(self, config: DiffusionTraining, train: Tissue, held_out: Tissue) -> None:
        self.config, self.train, self.held_out = config, train, held_out
        self.schedule = linear_schedule(1000)

    opponent: nn.Module | None = None
    opponent_rate = 0.0

    def loss(self, model: nn.Module, step: int) -> StepLoss:
        """Mean squared error over the holes of the batch that belongs to `step`."""
        return StepLoss(self._loss(model, self.train, [self.config.loop.seed, 0, step]))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The same loss on fixed held-out batches."""
        seeds = [[self.config.loop.seed, 1, n] for n in range(VALIDATION_BATCHES)]
        losses = [float(self._loss(model, self.held_out, seed)) for seed in seeds]
        return {"held_out_loss": float(np.mean(losses))}

    def _loss(self, model: nn.Module, tissue: Tissue, seed: list[int]) -> Tensor:
        rng = np.random.default_rng(seed)
        device = next(model.parameters()).device
        x0, labels, hole = (part.to(device) for part in self.batch(tissue, rng))
        t = torch.from_numpy(self._timesteps(rng, len(x0))).to(device)
        noise = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32)).to(device)
        level = self.schedule.gather(t)
        x = torch.where(hole, add_noise(x0, noise, level), x0)
        x = x.contiguous(memory_format=torch.channels_last)
        out = model(x, t, hole, labels).float()
        target = velocity(x0, noise, level) if self.config.model.prediction == "v" else noise
        errors = F.mse_loss(out, target, reduction="none").mean(1, keepdim=True)
        # Every example counts the same, however small its hole.
        shares = hole.float().mean((1, 2, 3))
        return ((errors * hole).mean((1, 2, 3)) / shares).mean()

    def _timesteps(self, rng: np.random.Generator, count: int) -> np.ndarray:
        # Stratified over the batch: the same distribution with less noise in the gradient.
        uniform = (rng.permutation(count) + rng.random(count)) / count * 1000
        low = rng.random(count) < self.config.low_noise_share
        return np.where(low, uniform / 10, uniform).astype(np.int64)

    def batch(self, tissue: Tissue, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Cut a batch.

        Returns
        -------
        state : float32, (B, C, H / factor, W / factor)
        labels : float32, (B, classes + 2, H, W)
        hole : bool, (B, 1, H / factor, W / factor)
        """
        c, f = self.config, tissue.factor
        parts = []
        for _ in range(c.loop.batch):
            state, labels = tissue.cut(rng, c.data.crop)
            hole = training_hole(rng, labels, f * c.model.unshuffle, c.full_share)
            drop = bool(rng.random() < c.label_drop)
            said = soft_labels(labels, hole, c.model.classes, drop=drop)
            parts.append((state, said, hole[None, ::f, ::f]))
        states, saids, holes = (torch.from_numpy(np.stack(p)) for p in zip(*parts, strict=True))
        return states, saids, holes


def new_unet(config: DiffusionTraining, tissue: Tissue) -> SpadeUNet:
    """Build the network, with the number of channels that the tissue has."""
    shape = config.model.model_copy(
        update={"channels": tissue.channels, "classes": len(config.data.classes)}
    )
    model = SpadeUNet(shape)
    return channels_last(model)
