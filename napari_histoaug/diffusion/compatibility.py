"""RePaint as diffusers' RePaintScheduler and pipeline run it: to compare, to reproduce.

It departs from the published sampler, and all of that is kept here on purpose. Levels are spaced
from 0 up and leave out the noisiest; a jump starts one level lower and uses training betas of the
stretch above it, so it adds too much noise; known pixels are pasted after a move instead of before
an evaluation, with the noise of the move; and by default the move adds none (``eta`` 0). To fill
holes use ``sample_inpainting(method="repaint")``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .noise import NoiseSource, Seed, SeededNoise
from .predictions import add_noise
from .repaint import count_evaluations, forward_step, repaint_schedule
from .schedule import SamplingError, Schedule, linear_schedule
from .steps import ddim_step
from .watching import Cancel, Denoiser, Evaluator, Progress


def repaint_like_diffusers(
    denoise: Denoiser,
    known: Tensor,
    hole: Tensor,
    *,
    schedule: Schedule | None = None,
    steps: int = 250,
    eta: float = 0.0,
    jump_length: int = 10,
    jump_n_sample: int = 10,
    seed: Seed = 0,
    noise: NoiseSource | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> Tensor:
    """Fill ``hole`` as diffusers does, number for number if ``noise`` draws the same numbers.

    The parameters are those of `napari_histoaug.diffusion.sample_inpainting`; ``steps`` is at most
    the number of training timesteps. Nothing is clipped (``clip_sample=False``).

    Returns
    -------
    Tensor
        (B, C, H, W), equal to ``known`` outside the hole.
    """
    schedule = linear_schedule() if schedule is None else schedule
    if not 1 <= steps <= len(schedule):
        raise SamplingError(f"The number of steps has to be 1 to {len(schedule)}, not {steps}.")
    levels = repaint_schedule(steps, jump_length, jump_n_sample)
    stride = len(schedule) // steps
    draw = noise or SeededNoise(seed, known.dtype, known.device)
    evaluate = Evaluator(
        denoise,
        schedule,
        noisy=torch.ones_like(hole),
        known=known,
        hole=hole,
        total=count_evaluations(levels),
        progress=progress,
        cancelled=cancelled,
    )
    shape = tuple(known.shape)
    with torch.set_grad_enabled(known.requires_grad):
        x = draw(shape)
        for before, level in pairwise([steps, *levels[:-1]]):
            if level > before:
                for timestep in range(before * stride, level * stride):
                    x = forward_step(x, float(schedule.betas[timestep]), draw(shape))
                continue
            here = schedule.alpha_bar_at(level * stride)
            below = schedule.alpha_bar_at((level - 1) * stride if level > 0 else -1)
            x0, fresh = evaluate(x, level * stride), draw(shape)
            moved = ddim_step(x, x0, here, below, eta, fresh)
            x = torch.where(hole, moved, add_noise(known, fresh, below))
        return x
