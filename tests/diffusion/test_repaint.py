"""RePaint as published; each defect seen in another implementation is a test of its absence."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import (
    SamplingError,
    evaluations,
    linear_schedule,
    repaint_schedule,
    sample_inpainting,
    spaced_timesteps,
)

SCHEDULE = linear_schedule(1000)
TABLE = [
    ((250, 10, 10), 2410),
    ((250, 10, 5), 1210),
    ((250, 10, 2), 490),
    ((100, 10, 10), 910),
    ((50, 5, 5), 230),
    ((50, 10, 2), 90),
    ((25, 5, 2), 45),
    ((20, 5, 3), 50),
    ((10, 1, 5), 46),
    ((1000, 10, 10), 9910),
]


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    return torch.tanh(x * (0.3 + t.reshape(-1, 1, 1, 1) / 1500) + 0.1)


class Tape:
    """A noise source that remembers what it gave, and a network that remembers what it saw."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(11)
        self.drawn: list[Tensor] = []
        self.seen: list[tuple[int, Tensor]] = []

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        self.drawn.append(torch.randn(shape, generator=self.generator, dtype=torch.float64))
        return self.drawn[-1]

    def denoise(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        assert bool(hole.all())
        assert t.dtype == torch.int64
        self.seen.append((int(t[0]), x.clone()))
        return bent(x, t, hole)


@pytest.mark.parametrize(("arguments", "count"), TABLE)
def test_published_counts(arguments: tuple[int, int, int], count: int):
    levels = repaint_schedule(*arguments)
    moves = [after - before for before, after in pairwise(levels)]
    assert levels[0] == arguments[0] - 1
    assert levels[-1] == -1
    assert set(map(abs, moves)) == {1}
    assert moves.count(-1) == count
    steps, jump_length, jump_n_sample = arguments
    told = evaluations("repaint", steps, jump_length=jump_length, jump_n_sample=jump_n_sample)
    assert told == count


def test_the_published_list():
    levels = repaint_schedule(250, 10, 10)
    assert len(levels) == 4571
    assert max(levels) == 249
    assert levels[:11] == list(range(249, 238, -1))
    assert repaint_schedule(5, 2, 2) == [4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0, -1]
    assert repaint_schedule(4, 10, 10) == repaint_schedule(4, 2, 1) == [3, 2, 1, 0, -1]


@pytest.mark.parametrize("arguments", [(0, 1, 1), (10, 0, 1), (10, 1, 0)])
def test_impossible_schedules_are_refused(arguments: tuple[int, int, int]):
    with pytest.raises(SamplingError):
        repaint_schedule(*arguments)


def published(
    known: Tensor, keep: Tensor, noise: list[Tensor], steps: int, jump: int, n: int
) -> Tensor:
    """The loop of the published code (guided diffusion, fixed small variance), transcribed."""
    used = spaced_timesteps(SCHEDULE, steps, "linear")[::-1]
    alpha_bar = SCHEDULE.alpha_bar[used]
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    betas = 1 - alpha_bar / before
    draws = iter(noise)
    image, predicted = next(draws), None
    for last, current in pairwise(repaint_schedule(steps, jump, n)):
        if current > last:
            beta = betas[last + 1]
            image = (1 - beta).sqrt() * image + beta.sqrt() * next(draws)
            continue
        a = alpha_bar[last]
        if predicted is not None:
            image = keep * (a.sqrt() * known + (1 - a).sqrt() * next(draws)) + (1 - keep) * image
        eps = bent(image, torch.full((len(image),), used[last]), keep)
        predicted = (1 / a).sqrt() * image - (1 / a - 1).sqrt() * eps
        mean = betas[last] * before[last].sqrt() / (1 - a) * predicted
        mean = mean + (1 - before[last]) * (1 - betas[last]).sqrt() / (1 - a) * image
        image = mean
        if last != 0:
            image = mean + (betas[last] * (1 - before[last]) / (1 - a)).sqrt() * next(draws)
    return image


@pytest.mark.parametrize(("steps", "jump", "n"), [(20, 5, 3), (25, 5, 2), (12, 1, 4)])
def test_the_walk_is_the_published_one(scene, steps: int, jump: int, n: int):
    known, hole = scene
    tape = Tape()
    ours = sample_inpainting(
        tape.denoise,
        known,
        hole,
        "repaint",
        steps=steps,
        jump_length=jump,
        jump_n_sample=n,
        noise=tape.noise,
    )
    keep = (~hole).double()
    theirs = published(known, keep, tape.drawn, steps, jump, n)
    torch.testing.assert_close(ours * (1 - keep), theirs * (1 - keep), atol=1e-10, rtol=0)


def test_every_evaluation_happens_at_the_level_of_the_walk(scene):
    """Not at one constant timestep, and the network is asked at timestep 0 too."""
    known, hole = scene
    tape = Tape()
    sample_inpainting(
        tape.denoise,
        known,
        hole,
        "repaint",
        steps=20,
        jump_length=5,
        jump_n_sample=3,
        noise=tape.noise,
    )
    used = spaced_timesteps(SCHEDULE, 20, "linear")[::-1]
    walk = repaint_schedule(20, 5, 3)
    wanted = [used[level] for level, after in pairwise(walk) if after < level]
    assert [t for t, _ in tape.seen] == wanted
    assert wanted[-1] == 0
    assert [wanted.count(used[level]) for level in (0, 1, 5, 6)] == [1, 3, 3, 3]


def test_known_pixels_enter_at_the_level_of_the_state_with_fresh_noise(scene):
    known, hole = scene
    tape = Tape()
    result = sample_inpainting(
        tape.denoise,
        known,
        hole,
        "repaint",
        steps=20,
        jump_length=5,
        jump_n_sample=3,
        noise=tape.noise,
    )
    outside = (~hole).expand_as(known)
    residues = []
    for t, x in tape.seen[1:]:
        a = SCHEDULE.alpha_bar[t].item()
        residues.append(((x - math.sqrt(a) * known) / math.sqrt(1 - a))[outside])
    drawn = [noise[outside] for noise in tape.drawn]
    owners = []
    for residue in residues:
        distances = [float((residue - noise).abs().max()) for noise in drawn]
        assert min(distances) < 1e-9
        owners.append(distances.index(min(distances)))
    assert len(set(owners)) == len(owners)
    first = tape.seen[0][1]
    assert torch.equal(first, tape.drawn[0])
    assert torch.equal(result[outside], known[outside])


def test_a_multistep_solver_does_not_look_back_over_a_jump(scene):
    """Straight after a jump the move is first order, so it equals that of DDIM."""
    known, hole = scene
    runs = {}
    for solver in ("ddim", "dpmpp-2m"):
        tape = Tape()
        sample_inpainting(
            tape.denoise,
            known,
            hole,
            "repaint",
            steps=3,
            jump_length=1,
            jump_n_sample=2,
            solver=solver,
            noise=tape.noise,
        )
        runs[solver] = tape
    # walk: 2 1 0 1 0 -1 with jumps 0->1 and 1->2; every move follows a jump or ends the walk ...
    walk = repaint_schedule(3, 1, 2)
    assert walk == [2, 1, 2, 1, 0, 1, 0, -1]
    moves = [m for m in pairwise(walk) if m[1] < m[0]]
    assert moves == [(2, 1), (2, 1), (1, 0), (1, 0), (0, -1)]
    # ... so the states up to the third evaluation agree, and the second-order move 1 -> 0 departs.
    for index, same in enumerate([True, True, True, False]):
        a, b = (runs[s].seen[index][1] for s in ("ddim", "dpmpp-2m"))
        assert torch.allclose(a, b, atol=1e-12, rtol=0) is same, index


def test_jumps_up_carry_the_right_beta(scene, monkeypatch):
    """From level l - 1 to l the variance is 1 - alpha_bar[l] / alpha_bar[l - 1], respaced."""
    import napari_histoaug.diffusion.repaint as room

    known, hole = scene
    used: list[float] = []
    original = room.forward_step

    def spy(x: Tensor, beta: float, noise: Tensor) -> Tensor:
        used.append(beta)
        return original(x, beta, noise)

    monkeypatch.setattr(room, "forward_step", spy)
    tape = Tape()
    sample_inpainting(
        tape.denoise,
        known,
        hole,
        "repaint",
        steps=50,
        jump_length=5,
        jump_n_sample=2,
        noise=tape.noise,
    )
    timesteps = spaced_timesteps(SCHEDULE, 50, "linear")[::-1]
    wanted = [
        1 - SCHEDULE.alpha_bar_at(timesteps[after]) / SCHEDULE.alpha_bar_at(timesteps[before])
        for before, after in pairwise(repaint_schedule(50, 5, 2))
        if after > before
    ]
    assert used == pytest.approx(wanted, rel=1e-12)
    # a product of the training betas shifted by one level is measurably something else
    shifted = 1 - SCHEDULE.alpha_bar_at(timesteps[46]) / SCHEDULE.alpha_bar_at(timesteps[45])
    assert abs(shifted - used[0]) > 1e-3
