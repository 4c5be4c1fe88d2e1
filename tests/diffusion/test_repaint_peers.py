"""diffusers' RePaintScheduler: reproduced in a mode of its own, and measured beside ours."""

from __future__ import annotations

from typing import Any

import diffusers.schedulers.scheduling_repaint as theirs
import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import evaluations, linear_schedule
from napari_histoaug.diffusion.compatibility import repaint_like_diffusers
from napari_histoaug.errors import Cancelled

SCHEDULE = linear_schedule(1000)


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    return torch.tanh(x * (0.3 + t.reshape(-1, 1, 1, 1) / 1500) + 0.1)


class Peer:
    """The scheduler in float64, in the loop of its pipeline."""

    def __init__(self, eta: float, steps: int, jump_length: int, jump_n_sample: int):
        self.scheduler = theirs.RePaintScheduler(
            1000, beta_start=1e-4, beta_end=0.02, eta=eta, clip_sample=False
        )
        torch.testing.assert_close(
            self.scheduler.alphas_cumprod.double(), SCHEDULE.alpha_bar, atol=1e-6, rtol=1e-5
        )
        self.scheduler.betas, self.scheduler.alphas_cumprod = SCHEDULE.betas, SCHEDULE.alpha_bar
        self.scheduler.set_timesteps(steps, jump_length, jump_n_sample)

    def run(self, denoise: Any, start: Tensor, known: Tensor, hole: Tensor) -> Tensor:
        """The loop; the scheduler draws its own noise."""
        image, last = start, int(self.scheduler.timesteps[0]) + 1
        everywhere, keep = torch.ones_like(hole), (~hole).to(known)
        for t in self.scheduler.timesteps.tolist():
            if t < last:
                noise = denoise(image, torch.full((len(image),), t), everywhere)
                image = self.scheduler.step(noise, t, image, known, keep).prev_sample
            else:
                image = self.scheduler.undo_step(image, last)
            last = t
        return image


@pytest.fixture
def shared_noise(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``shared_noise(source)``: the scheduler draws from ``source`` from now on."""

    def share(source: Any) -> None:
        monkeypatch.setattr(theirs, "randn_tensor", lambda shape, **_: source(tuple(shape)))

    return share


def drawer(seed: int = 7) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("steps", "jump", "n"), [(20, 5, 3), (50, 10, 2), (12, 1, 2)])
def test_the_compatible_mode_is_diffusers(
    scene, shared_noise: Any, eta: float, steps: int, jump: int, n: int
):
    known, hole = scene
    source = drawer()
    shared_noise(source)
    peer = Peer(eta, steps, jump, n).run(bent, source(tuple(known.shape)), known, hole)
    ours = repaint_like_diffusers(
        bent,
        known,
        hole,
        steps=steps,
        eta=eta,
        jump_length=jump,
        jump_n_sample=n,
        noise=drawer(),
    )
    torch.testing.assert_close(ours, peer, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours, peer, atol=1e-9, rtol=1e-9)
    outside = (~hole).expand_as(known)
    assert torch.equal(ours[outside], known[outside])


def test_the_compatible_mode_can_be_watched_and_cancelled(scene):
    known, hole = scene
    told: list[tuple[int, int]] = []
    with pytest.raises(Cancelled):
        repaint_like_diffusers(
            bent,
            known,
            hole,
            steps=10,
            jump_length=2,
            progress=lambda done, total: told.append((done, total)),
            cancelled=lambda: len(told) == 4,
        )
    total = evaluations("repaint", 10, jump_length=2)
    assert told == [(i, total) for i in range(1, 5)]


@pytest.mark.parametrize(
    ("setting", "eta", "w2"),
    [
        ((50, 5, 5), 1.0, 0.270),
        ((50, 5, 5), 0.0, 0.350),
        pytest.param((250, 10, 10), 1.0, 0.135, marks=pytest.mark.soak),
        pytest.param((250, 10, 10), 0.0, 0.198, marks=pytest.mark.soak),
    ],
)
def test_the_published_walk_is_nearer_to_the_exact_answer(
    world, shared_noise: Any, setting: tuple[int, int, int], eta: float, w2: float
):
    steps, jump_length, jump_n_sample = setting

    def run(known: Tensor, hole: Tensor, noise: Any) -> Tensor:
        shared_noise(noise)
        return Peer(eta, *setting).run(world.plain, noise(tuple(known.shape)), known, hole)

    peer = world.measure_run(run)
    ours = world.measure(
        "repaint", steps=steps, jump_length=jump_length, jump_n_sample=jump_n_sample
    )
    assert peer.evaluations == ours.evaluations
    assert peer.w2 == pytest.approx(w2, abs=0.001)
    assert ours.w2 < peer.w2
