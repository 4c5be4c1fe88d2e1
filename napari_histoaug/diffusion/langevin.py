"""Replacement inpainting with Langevin corrections: training-free, few evaluations.

Pasting noised known pixels into a plain sampler ignores that the hole should agree with them. A few
Langevin steps at each level, under the score conditioned by replacement, let the hole catch up.
"""

from __future__ import annotations

import math

from torch import Tensor

from .chain import Chain
from .repaint import paste_noised
from .watching import Evaluator


def walk_langevin(
    chain: Chain, evaluate: Evaluator, x: Tensor, corrections: int, step: float = 1.0
) -> Tensor:
    history = None
    count = len(chain)
    for level in reversed(range(count)):
        size = 1.4 if step is None else step
        for _ in range(corrections):
            x = paste_noised(chain, evaluate, x, level)
            x0 = evaluate(x, chain.timestep(level))
            x = langevin_step(x, x0, chain.alpha_bar(level), size, chain.noise(tuple(x.shape)))
        x = paste_noised(chain, evaluate, x, level)
        x0 = evaluate(x, chain.timestep(level))
        x, history = chain.down(x, x0, level, None)
    return x


def langevin_step(x: Tensor, x0: Tensor, alpha_bar: float, size: float, noise: Tensor) -> Tensor:
    a = math.sqrt(alpha_bar)
    return x - size * (x - a * x0) + math.sqrt(size * (2 - size) * (1 - alpha_bar)) * noise
