"""Starting from a donor noised to a strength (SDEdit), against closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import (
    METHODS,
    evaluations,
    sample_inpainting,
    spaced_timesteps,
)


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    return 0.4 * x / (1 + x**2) + 0.1 * x.mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("method", METHODS)
def test_what_the_start_shows_outside_the_hole_is_never_looked_at(scene, method: str):
    known, hole = scene
    options: dict[str, Any] = {"steps": 6, "strength": 0.5, "jump_length": 1, "jump_n_sample": 2}
    start = torch.full_like(known, 0.3)
    poisoned = torch.where(hole, start, torch.full_like(start, float("nan")))
    clean = sample_inpainting(bent, known, hole, method, start=start, **options)
    assert bool(clean.isfinite().all())
    assert torch.equal(
        sample_inpainting(bent, known, hole, method, start=poisoned, **options), clean
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [0.2, 0.5, 1.0])
def test_evaluations_fall_with_the_strength(scene, method: str, strength: float):
    known, hole = scene
    calls = 0

    def count(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return bent(x, t, given)

    options: dict[str, Any] = {"steps": 20, "jump_length": 2, "jump_n_sample": 2}
    sample_inpainting(count, known, hole, method, start=known, strength=strength, **options)
    assert calls == evaluations(method, strength=strength, **options)
    assert calls <= strength * evaluations(method, **options) + 1


def from_level(world: Any, start: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """Where the probability flow takes a noised ``start``: mean and covariance, known pixels 0.

    In the eigenbasis of the posterior the flow only rescales, by the ratio of its deviations.
    """
    values, vectors = torch.linalg.eigh(world.posterior)
    scale = (values / (alpha_bar * values + 1 - alpha_bar)).sqrt()
    mean = vectors @ (scale * math.sqrt(alpha_bar) * (vectors.T @ start))
    return mean, (vectors * (scale**2 * (1 - alpha_bar))) @ vectors.T


@pytest.mark.parametrize("strength", [0.3, 0.6])
def test_a_noised_donor_ends_where_the_probability_flow_takes_it(world, strength: float):
    count = int(world.h.sum())
    donor = torch.linspace(-1, 1, count, dtype=torch.float64)
    start = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    start.reshape(-1)[world.h] = donor
    options = {"schedule": world.schedule, "steps": 60, "strength": strength}

    def run(known: Tensor, hole: Tensor, noise: Any) -> Tensor:
        return sample_inpainting(
            world.pixel_time, known, hole, start=start.expand_as(known), noise=noise, **options
        )

    _, cov = world.moments(run)
    levels = spaced_timesteps(world.schedule, 60, "quadratic")
    kept = levels[-round(strength * len(levels)) :]
    mean, wanted = from_level(world, donor, world.schedule.alpha_bar_at(kept[0]))
    silent = lambda shape: torch.zeros(shape, dtype=torch.float64)  # noqa: E731
    found = run(torch.zeros_like(start), world.hole, silent).reshape(-1)[world.h]
    torch.testing.assert_close(found, mean, atol=0.01, rtol=0)
    torch.testing.assert_close(cov, wanted, atol=0.004, rtol=0)
    assert (found - donor).norm() < 0.9 * donor.norm()


@pytest.mark.parametrize(
    ("method", "options", "w2"),
    [
        ("pixel-time", {"steps": 20}, 0.026),
        ("pixel-time", {"steps": 20, "solver": "ddim"}, 0.069),
        ("pixel-time", {"steps": 20, "solver": "ancestral"}, 0.147),
        ("langevin", {"steps": 17, "corrections": 2}, 0.161),
        ("langevin", {}, 0.079),
        ("repaint", {"steps": 50, "jump_length": 5, "jump_n_sample": 5}, 0.247),
    ],
)
def test_a_start_that_is_an_exact_answer_stays_one(
    world, method: str, options: dict[str, Any], w2: float
):
    """Noised and denoised again, a draw of the posterior is a draw of it, for every method.

    What is lost is no more than a run from pure noise loses.
    """

    def run(known: Tensor, hole: Tensor, noise: Any) -> Tensor:
        return sample_inpainting(
            world.denoiser(method),
            known,
            hole,
            method,
            schedule=world.schedule,
            noise=noise,
            start=world.draw_posterior(known, noise),
            strength=0.5,
            **options,
        )

    error = world.measure_run(run)
    whole = world.measure(method, **options)
    assert error.evaluations < 0.6 * whole.evaluations
    assert error.w2 == pytest.approx(w2, abs=0.001)
    assert error.w2 < whole.w2 + 0.001


def test_a_weak_start_stays_near_the_donor_and_a_strong_one_forgets_it(scene):
    known, hole = scene
    start = torch.full_like(known, 0.7)
    inside = hole.expand_as(known)
    distances = [
        float(
            (sample_inpainting(bent, known, hole, start=start, strength=s) - start)[inside].norm()
        )
        for s in (0.1, 0.3, 0.6, 0.9)
    ]
    assert distances == sorted(distances)
