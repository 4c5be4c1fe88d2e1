"""diffusers' RePaintScheduler: reproduced in a mode of its own, and measured beside ours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import evaluations
from napari_histoaug.diffusion.compatibility import repaint_like_diffusers
from napari_histoaug.errors import Cancelled


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    return torch.tanh(x * (0.3 + t.reshape(-1, 1, 1, 1) / 1500) + 0.1)


def drawer(seed: int = 7) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("steps", "jump", "n"), [(20, 5, 3), (50, 10, 2), (12, 1, 2)])
def test_the_compatible_mode_is_diffusers(
    scene, diffusers_repaint: Any, eta: float, steps: int, jump: int, n: int
):
    known, hole = scene
    peer = diffusers_repaint(steps, jump, n, eta)(bent, known, hole, drawer())
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
    world, diffusers_repaint: Any, setting: tuple[int, int, int], eta: float, w2: float
):
    steps, jump_length, jump_n_sample = setting

    def run(known: Tensor, hole: Tensor, noise: Any) -> Tensor:
        return diffusers_repaint(*setting, eta)(world.plain, known, hole, noise)

    peer = world.measure_run(run)
    ours = world.measure(
        "repaint", steps=steps, jump_length=jump_length, jump_n_sample=jump_n_sample
    )
    assert peer.evaluations == ours.evaluations
    assert peer.w2 == pytest.approx(w2, abs=0.001)
    assert ours.w2 < peer.w2
