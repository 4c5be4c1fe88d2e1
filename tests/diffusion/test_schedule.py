from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from napari_histoaug.diffusion import (
    SPACINGS,
    SamplingError,
    add_noise,
    evaluations,
    guided,
    linear_schedule,
    noise_from_velocity,
    noise_from_x0,
    respaced_betas,
    schedule_from_betas,
    spaced_timesteps,
    velocity,
    x0_from_noise,
    x0_from_velocity,
)


def test_linear_schedule_is_that_of_ddpm():
    schedule = linear_schedule(1000)
    assert schedule.betas.dtype == schedule.alpha_bar.dtype == torch.float64
    assert schedule.betas[0].item() == 1e-4
    assert schedule.betas[-1].item() == 0.02
    assert schedule.alpha_bar[0].item() == pytest.approx(0.9999, abs=1e-15)
    assert schedule.alpha_bar[-1].item() == pytest.approx(4.0358e-5, rel=1e-4)
    assert schedule.alpha_bar_at(-1) == 1.0


def test_gather_takes_one_level_an_image():
    schedule = linear_schedule(1000)
    t = torch.tensor([0, 999, 10])
    assert torch.equal(schedule.gather(t), schedule.alpha_bar[[0, 999, 10]])


@pytest.mark.parametrize("betas", [[], [0.1, 1.0], [0.0, 0.1], [float("nan")]])
def test_impossible_betas_are_refused(betas: list[float]):
    with pytest.raises(SamplingError):
        schedule_from_betas(torch.tensor(betas))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [2, 3, 20, 50, 250, 300, 999, 1000])
def test_timesteps_fall_from_the_last_to_zero(spacing: str, steps: int):
    levels = spaced_timesteps(linear_schedule(1000), steps, spacing)
    assert levels[0] == 999
    assert levels[-1] == 0
    assert all(a > b for a, b in pairwise(levels))
    assert len(levels) <= steps
    assert spacing != "linear" or len(levels) == steps


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_step_count_that_does_not_divide_still_starts_at_the_noisiest(spacing: str):
    # "leading" spacing starts 300 steps of 500 at timestep 299: a known defect elsewhere
    assert spaced_timesteps(linear_schedule(500), 300, spacing)[0] == 499
    assert spaced_timesteps(linear_schedule(500), 1, spacing) == [499]


def test_spacings_are_what_they_say():
    schedule = linear_schedule(1000)
    assert spaced_timesteps(schedule, 5, "linear") == [999, 749, 500, 250, 0]
    assert spaced_timesteps(schedule, 5, "quadratic") == [999, 562, 250, 62, 0]
    sigma = ((1 - schedule.alpha_bar) / schedule.alpha_bar).sqrt()
    visited = sigma[spaced_timesteps(schedule, 8, "karras")] ** (1 / 7)
    wanted = torch.linspace(visited[0].item(), visited[-1].item(), 8, dtype=torch.float64)
    torch.testing.assert_close(visited, wanted, atol=0.03, rtol=0)


def test_merged_levels_are_counted_as_merged():
    levels = spaced_timesteps(linear_schedule(1000), 250, "quadratic")
    assert len(levels) < 250
    assert evaluations("pixel-time", 250) == len(levels)


@pytest.mark.parametrize(("steps", "spacing"), [(0, "linear"), (1001, "linear"), (10, "leading")])
def test_impossible_spacings_are_refused(steps: int, spacing: str):
    with pytest.raises(SamplingError):
        spaced_timesteps(linear_schedule(1000), steps, spacing)


@pytest.mark.parametrize("steps", [20, 250, 1000])
def test_composed_forward_moves_are_the_marginal(steps: int):
    """Mean and variance after each move up from the clean image equal those of q(x_t | x_0)."""
    schedule = linear_schedule(1000)
    levels = spaced_timesteps(schedule, steps, "linear")
    mean, variance = 1.0, 0.0
    for timestep, beta in reversed(
        list(zip(levels, respaced_betas(schedule, levels), strict=True))
    ):
        mean, variance = mean * (1 - beta) ** 0.5, variance * (1 - beta) + beta
        alpha_bar = schedule.alpha_bar[timestep].item()
        assert mean == pytest.approx(alpha_bar**0.5, abs=1e-12)
        assert variance == pytest.approx(1 - alpha_bar, abs=1e-12)


def test_respaced_betas_of_all_levels_are_the_betas():
    schedule = linear_schedule(1000)
    betas = torch.tensor(respaced_betas(schedule, range(999, -1, -1)), dtype=torch.float64)
    torch.testing.assert_close(betas.flip(0), schedule.betas, atol=1e-13, rtol=0)


@pytest.mark.parametrize("form", ["number", "image", "pixel"])
def test_predictions_are_three_names_of_one_thing(form: str):
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 2, 4, 4, generator=generator, dtype=torch.float64)
    level = {
        "number": 0.37,
        "image": torch.tensor([0.9, 0.5, 0.01], dtype=torch.float64),
        "pixel": torch.rand(3, 2, 4, 4, generator=generator, dtype=torch.float64),
    }[form]
    x = add_noise(x0, noise, level)
    v = velocity(x0, noise, level)
    torch.testing.assert_close(x0_from_noise(x, noise, level), x0)
    torch.testing.assert_close(noise_from_x0(x, x0, level), noise)
    torch.testing.assert_close(x0_from_velocity(x, v, level), x0)
    torch.testing.assert_close(noise_from_velocity(x, v, level), noise)


def test_a_level_an_image_is_not_a_level_a_column():
    x0 = torch.ones(2, 1, 2, 2)
    x = add_noise(x0, torch.zeros_like(x0), torch.tensor([0.25, 1.0], dtype=torch.float64))
    assert torch.equal(x, torch.tensor([0.5, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 2, 2))
    assert x.dtype == torch.float32


def test_guidance_moves_along_the_line_from_silence_to_what_was_said():
    generator = torch.Generator().manual_seed(0)
    x0, said, silent = torch.randn(3, 2, 3, 4, 4, generator=generator)
    assert torch.equal(guided(said, silent, 1.0), said)
    assert torch.equal(guided(said, silent, 0.0), silent)
    torch.testing.assert_close(guided(said, silent, 3.0), 3 * said - 2 * silent)
    # of noise, image or velocity, guiding one guides all
    x = add_noise(x0, silent, 0.4)
    as_images = guided(x0_from_noise(x, said, 0.4), x0_from_noise(x, silent, 0.4), 1.7)
    torch.testing.assert_close(
        as_images, x0_from_noise(x, guided(said, silent, 1.7), 0.4), atol=1e-5, rtol=1e-5
    )
