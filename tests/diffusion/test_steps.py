from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from napari_histoaug.diffusion import (
    History,
    ancestral_step,
    ddim_step,
    dpmpp_2m_step,
    linear_schedule,
    sample,
    spaced_timesteps,
    x0_from_noise,
)

SCHEDULE = linear_schedule(1000)
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def tensors(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 2, 3, 4, 4, generator=generator, dtype=torch.float64)


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    """A nonlinear network of one line, different at every timestep."""
    return torch.tanh(x * (0.3 + t.reshape(-1, 1, 1, 1) / 1500) + 0.1)


@pytest.mark.parametrize(("t", "after"), [(999, 998), (500, 250), (20, 0), (0, -1), (999, -1)])
def test_ddim_with_eta_one_is_the_ancestral_posterior(t: int, after: int):
    x, x0, noise = tensors(3)
    levels = SCHEDULE.alpha_bar_at(t), SCHEDULE.alpha_bar_at(after)
    torch.testing.assert_close(
        ddim_step(x, x0, *levels, eta=1.0, noise=noise),
        ancestral_step(x, x0, *levels, noise=noise),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.parametrize("t", [999, 500, 1])
def test_a_consecutive_ancestral_step_is_the_posterior_of_ddpm(t: int):
    """Bayes: q(x_t-1 | x_t, x_0) from the product of its two Gaussians."""
    x, x0, noise = tensors(3)
    beta, before = SCHEDULE.betas[t], SCHEDULE.alpha_bar[t - 1]
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = ((1 - beta).sqrt() * x / beta + before.sqrt() * x0 / (1 - before)) / precision
    ours = ancestral_step(x, x0, SCHEDULE.alpha_bar_at(t), SCHEDULE.alpha_bar_at(t - 1), noise)
    torch.testing.assert_close(ours, mean + precision.rsqrt() * noise, atol=1e-9, rtol=0)


def test_every_last_move_lands_on_the_prediction():
    x, x0, noise = tensors(3)
    level = SCHEDULE.alpha_bar_at(0)
    assert torch.equal(dpmpp_2m_step(x, x0, level, 1.0, History(x, 0.5)), x0)
    for moved in (
        ddim_step(x, x0, level, 1.0, 1.0, noise),
        ancestral_step(x, x0, level, 1.0, noise),
    ):
        torch.testing.assert_close(moved, x0, atol=1e-12, rtol=0)


def test_first_order_dpm_solver_is_ddim():
    x, x0 = tensors(2)
    torch.testing.assert_close(
        dpmpp_2m_step(x, x0, 0.2, 0.7), ddim_step(x, x0, 0.2, 0.7), atol=1e-12, rtol=0
    )


def in_float64(peer: DDPMScheduler | DDIMScheduler) -> DDPMScheduler | DDIMScheduler:
    """The peer with its own numbers unrounded: its x0 prediction magnifies float32 by 160."""
    torch.testing.assert_close(
        peer.alphas_cumprod.double(), SCHEDULE.alpha_bar, atol=1e-6, rtol=1e-5
    )
    peer.alphas_cumprod = SCHEDULE.alpha_bar
    return peer


def test_parity_with_the_ddpm_scheduler():
    peer = in_float64(DDPMScheduler(1000, **BETAS, variance_type="fixed_small", clip_sample=False))
    levels = spaced_timesteps(SCHEDULE, 25, "quadratic")
    peer.set_timesteps(timesteps=levels)
    x, eps = tensors(2)
    for index, (t, after) in enumerate(pairwise([*levels, -1])):
        theirs = peer.step(eps, t, x, generator=torch.Generator().manual_seed(index)).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(index), dtype=x.dtype)
        level = SCHEDULE.alpha_bar_at(t)
        x0 = x0_from_noise(x, eps, level)
        ours = ancestral_step(x, x0, level, SCHEDULE.alpha_bar_at(after), noise)
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_parity_with_the_ddim_scheduler(eta: float):
    peer = in_float64(DDIMScheduler(1000, **BETAS, clip_sample=False, set_alpha_to_one=True))
    peer.set_timesteps(20)
    x, eps, noise = tensors(3)
    for t in peer.timesteps.tolist():
        theirs = peer.step(eps, t, x, eta=eta, variance_noise=noise).prev_sample
        level, after = SCHEDULE.alpha_bar_at(t), SCHEDULE.alpha_bar_at(max(t - 50, -1))
        ours = ddim_step(x, x0_from_noise(x, eps, level), level, after, eta, noise)
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("spacing", ["quadratic", "linear"])
def test_parity_with_the_dpm_solver_scheduler_over_a_whole_run(spacing: str):
    peer = DPMSolverMultistepScheduler(
        1000,
        **BETAS,
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        final_sigmas_type="zero",
    )
    levels = spaced_timesteps(SCHEDULE, 20, spacing)
    peer.set_timesteps(timesteps=levels)
    start = x = tensors(1)[0]
    hole = torch.ones_like(x[:, :1], dtype=torch.bool)
    for t in peer.timesteps:
        x = peer.step(bent(x, t.expand(2), hole), t, x).prev_sample
    ours = sample(
        bent, start.shape, steps=20, spacing=spacing, noise=lambda s: start, dtype=torch.float64
    )
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=1e-5)
    assert (x - start).abs().max() > 0.1
