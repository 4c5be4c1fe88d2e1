"""diffusers' RePaintScheduler in the loop of its pipeline, drawing the noise it is given."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import diffusers.schedulers.scheduling_repaint as theirs
import torch
from torch import Tensor

from napari_histoaug.diffusion import linear_schedule


class DiffusersRePaint:
    """``peer(denoise, known, hole, noise) -> images``, in float64 and unclipped."""

    def __init__(self, steps: int, jump_length: int, jump_n_sample: int, eta: float = 0.0):
        self.scheduler = theirs.RePaintScheduler(
            1000, beta_start=1e-4, beta_end=0.02, eta=eta, clip_sample=False
        )
        schedule = linear_schedule(1000)
        torch.testing.assert_close(
            self.scheduler.alphas_cumprod.double(), schedule.alpha_bar, atol=1e-6, rtol=1e-5
        )
        self.scheduler.betas, self.scheduler.alphas_cumprod = schedule.betas, schedule.alpha_bar
        self.scheduler.set_timesteps(steps, jump_length, jump_n_sample)

    def __call__(
        self,
        denoise: Callable[[Tensor, Tensor, Tensor], Tensor],
        known: Tensor,
        hole: Tensor,
        noise: Callable[[tuple[int, ...]], Tensor],
    ) -> Tensor:
        """The pipeline's loop, with its scheduler's draws replaced by ``noise``."""
        image, last = noise(tuple(known.shape)), int(self.scheduler.timesteps[0]) + 1
        everywhere, keep = torch.ones_like(hole), (~hole).to(known)
        with patch.object(theirs, "randn_tensor", lambda shape, **_: noise(tuple(shape))):
            for t in self.scheduler.timesteps.tolist():
                if t < last:
                    predicted = denoise(image, torch.full((len(image),), t), everywhere)
                    image = self.scheduler.step(predicted, t, image, known, keep).prev_sample
                else:
                    image = self.scheduler.undo_step(image, last)
                last = t
        return image
