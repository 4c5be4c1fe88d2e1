"""RePaint's walk through the noise levels (Lugmayr et al. 2022): down, back up, down again.

The published code resamples by jumping ``jump_length`` levels up, ``jump_n_sample - 1`` times, at
every ``jump_length``-th level. Libraries have drifted from it; what is kept here is the original.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .chain import Chain
from .predictions import add_noise
from .schedule import SamplingError
from .steps import History
from .watching import Evaluator


def repaint_schedule(t_T: int, jump_length: int = 10, jump_n_sample: int = 10) -> list[int]:
    """The published list of levels, from ``t_T - 1`` to -1 (the clean image), moving by one.

    A move down is one network evaluation, a move up adds noise: 250 levels, jumps of 10, 10 samples
    give 4571 entries, so 4570 moves, 2410 of them evaluations.

    Parameters
    ----------
    t_T : int
        Number of levels in the (respaced) chain.
    jump_length : int
        Levels per jump up.
    jump_n_sample : int
        How often a stretch is sampled in all; 1 never jumps.
    """
    if min(t_T, jump_length, jump_n_sample) < 1:
        raise SamplingError(
            "RePaint needs at least 1 level, a jump length of at least 1 and at least 1 sample, "
            f"not {t_T}, {jump_length} and {jump_n_sample}."
        )
    left = dict.fromkeys(range(0, t_T - jump_length, jump_length), jump_n_sample - 1)
    level, levels = t_T, []
    while level >= 1:
        level -= 1
        levels.append(level)
        if left.get(level, 0) > 0:
            left[level] -= 1
            levels.extend(range(level + 1, level + jump_length + 1))
            level += jump_length
    return [*levels, -1]


def count_evaluations(levels: list[int]) -> int:
    """Network evaluations of a level list: its moves down."""
    return sum(after < before for before, after in pairwise(levels))


def forward_step(x: Tensor, beta: float, noise: Tensor) -> Tensor:
    """One move up, q(x_t | x_before): ``sqrt(1 - beta) x + sqrt(beta) noise``.

    ``beta`` is that of the respaced chain for the level moved *to*; the beta of the level left, or
    a product of training betas shifted by one, adds the wrong amount of noise.
    """
    return float(1.0 - beta) ** 0.5 * x + float(beta) ** 0.5 * noise


def walk_repaint(chain: Chain, evaluate: Evaluator, x: Tensor, jump: tuple[int, int]) -> Tensor:
    """RePaint's sampler as published, on ``x`` (B, C, H, W) at the noisiest level.

    Before every evaluation but the very first the known pixels are noised to the level at hand,
    with fresh noise, and pasted. After the last move nothing is pasted, so the known pixels of the
    result are the network's, as in the original; the caller restores them.

    Parameters
    ----------
    jump : tuple of int
        ``jump_length``, ``jump_n_sample`` of `repaint_schedule`.
    """
    history: History | None = None
    for index, (level, target) in enumerate(pairwise(repaint_schedule(len(chain), *jump))):
        if target > level:
            x = forward_step(x, chain.beta(target), chain.noise(tuple(x.shape)))
            history = None  # a multistep solver must not look back over a jump
            continue
        pasted = x if index == 0 else paste_noised(chain, evaluate, x, level)
        x0 = evaluate(pasted, chain.timestep(level))
        x, history = chain.down(pasted, x0, level, history)
    return x


def paste_noised(chain: Chain, evaluate: Evaluator, x: Tensor, level: int) -> Tensor:
    """``x`` with its known pixels replaced by fresh draws of q(x_t | known) at ``level``."""
    noised = add_noise(evaluate.known, chain.known_noise(tuple(x.shape)), chain.alpha_bar(level))
    return torch.where(evaluate.hole, x, noised)
