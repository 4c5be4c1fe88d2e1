"""Inpainting with a network that knows a time per pixel: known pixels enter it clean.

The network was trained on noisy holes in clean surroundings (two-level time, after TD-Paint), so
the conditioning is exact and an ordinary ODE solver may be as large-stepped as it likes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .chain import Chain
from .watching import Evaluator


def walk_pixel_time(chain: Chain, evaluate: Evaluator, x: Tensor) -> Tensor:
    """Step the hole of ``x`` (B, C, H, W) from the noisiest level to the clean image.

    Known pixels are exact copies of ``evaluate.known`` at every evaluation. With a hole everywhere
    this is plain sampling.
    """
    known, hole = evaluate.known, evaluate.hole
    history = None
    for level in reversed(range(len(chain))):
        x = torch.where(hole, x, known)
        x0 = evaluate(x, chain.timestep(level))
        x, history = chain.down(x, x0, level, history)
    return x
