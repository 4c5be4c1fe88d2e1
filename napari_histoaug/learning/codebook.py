"""Keeping a codebook alive: which codes are used, and new places for those that are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast, reduce
from torch import Tensor, nn

from napari_histoaug.models import VQAutoencoder


class Codebook:
    """Counts the codes that a VQ-VAE uses and moves dead ones onto latents (Dhariwal et al. 2020).

    Parameters
    ----------
    model : VQAutoencoder
        Watched while it trains.
    every : int
        Steps after which codes that were never used are moved; 0 = never.
    seed : int
        Of the run; which latents are taken depends on it and the step only.

    Attributes
    ----------
    used : Tensor, int64, (codes,)
        How often each code was used since the last move.
    """

    def __init__(self, model: VQAutoencoder, every: int, seed: int) -> None:
        self.every, self.seed = every, seed
        self.used = torch.zeros(model.config.codes, dtype=torch.int64)
        self._latents = torch.zeros(0, model.config.latent_channels)
        model.vq.quantize.register_forward_hook(self._watch)

    def _watch(self, quantizer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        if not quantizer.training:
            return
        codes = output[2][2].flatten()
        self.used += torch.bincount(codes, minlength=len(self.used)).to(self.used)
        self._latents = inputs[0].detach().float().movedim(1, -1).flatten(0, -2)

    @torch.no_grad()
    def after_step(self, model: VQAutoencoder, step: int) -> dict[str, float]:
        """Move dead codes when it is time; returns the share of codes used since the last move."""
        due = self.every and (step + 1) % self.every == 0
        if not due:
            return {"codes_used": float((self.used > 0).float().mean())}
        weight = model.vq.quantize.embedding.weight
        used = reduce(self.used.to(weight.device), "sum")
        dead = (used == 0).nonzero().flatten()
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.integers(len(self._latents), size=len(dead))
        moved = self._latents[torch.from_numpy(chosen)].to(weight)
        # All processes have to agree on where the codes went.
        weight[dead] = broadcast(moved)
        self.used.zero_()
        return {"codes_used": 1 - len(dead) / len(used), "codes_revived": float(len(dead))}
