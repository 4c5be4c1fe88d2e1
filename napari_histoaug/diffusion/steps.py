"""One move of a sampler from a noise level to a cleaner one, as pure functions.

``x`` is the image at level ``alpha_bar``, ``x0`` the clean image the network sees in it. The target
level ``alpha_bar_next`` is 1.0 for the last move, which lands on ``x0`` exactly. Nothing is kept
between calls: what a multistep solver remembers is a value (`History`) that the caller passes along
and drops when the chain jumps.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from .noise import NoiseSource
from .predictions import noise_from_x0

Solver = Literal["dpmpp-2m", "ddim", "ancestral"]
SOLVERS: tuple[str, ...] = get_args(Solver)


class History(NamedTuple):
    """What DPM-Solver++(2M) remembers: the last clean prediction and its level."""

    x0: Tensor
    alpha_bar: float


def ddim_deviation(alpha_bar: float, alpha_bar_next: float, eta: float) -> float:
    """The standard deviation of the fresh noise in a DDIM move; 0 on the last one."""
    beta = 1.0 - alpha_bar / alpha_bar_next
    return eta * math.sqrt((1.0 - alpha_bar_next) / (1.0 - alpha_bar) * beta)


def ddim_step(
    x: Tensor,
    x0: Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """A DDIM move (Song et al. 2021, eq. 12); ``noise`` is needed when ``eta`` > 0."""
    deviation = ddim_deviation(alpha_bar, alpha_bar_next, eta)
    direction = math.sqrt(max(0.0, 1.0 - alpha_bar_next - deviation**2))
    moved = math.sqrt(alpha_bar_next) * x0 + direction * noise_from_x0(x, x0, alpha_bar)
    if deviation == 0.0 or noise is None:
        return moved
    return moved + deviation * noise


def ancestral_step(
    x: Tensor,
    x0: Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    noise: Tensor | None = None,
) -> Tensor:
    """A draw of the posterior q(x_next | x, x0) of DDPM (Ho et al. 2020, eq. 6-7), respaced.

    The variance is the posterior's own ("fixed small"), not beta.
    """
    beta = 1.0 - alpha_bar / alpha_bar_next
    rest = 1.0 - alpha_bar
    mean = math.sqrt(alpha_bar_next) * beta / rest * x0
    mean = mean + math.sqrt(alpha_bar / alpha_bar_next) * (1.0 - alpha_bar_next) / rest * x
    deviation = math.sqrt(beta * (1.0 - alpha_bar_next) / rest)
    if deviation == 0.0 or noise is None:
        return mean
    return mean + deviation * noise


def dpmpp_2m_step(
    x: Tensor,
    x0: Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    history: History | None = None,
) -> Tensor:
    """A DPM-Solver++(2M) move (Lu et al. 2022); first order without a history and when last."""
    if alpha_bar_next == 1.0:
        return x0
    h = _log_snr(alpha_bar_next) - _log_snr(alpha_bar)
    slope = x0
    if history is not None:
        ratio = h / (_log_snr(alpha_bar) - _log_snr(history.alpha_bar))
        slope = x0 + 0.5 * ratio * (x0 - history.x0)
    shrink = math.sqrt((1.0 - alpha_bar_next) / (1.0 - alpha_bar))
    return shrink * x - math.sqrt(alpha_bar_next) * math.expm1(-h) * slope


def _log_snr(alpha_bar: float) -> float:
    """lambda = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)), the integrator's time."""
    return 0.5 * math.log(alpha_bar / (1.0 - alpha_bar))


def solver_step(
    solver: Solver,
    x: Tensor,
    x0: Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    *,
    history: History | None,
    eta: float,
    noise: NoiseSource,
) -> tuple[Tensor, History]:
    """One move of the named solver; returns the image and the history for the next move.

    Noise is drawn only when the move uses it. ``eta`` concerns DDIM alone.
    """
    if solver == "dpmpp-2m":
        moved = dpmpp_2m_step(x, x0, alpha_bar, alpha_bar_next, history)
    else:
        used = 1.0 if solver == "ancestral" else eta
        random = ddim_deviation(alpha_bar, alpha_bar_next, used) > 0.0
        fresh = noise(tuple(x.shape)) if random else None
        if solver == "ancestral":
            moved = ancestral_step(x, x0, alpha_bar, alpha_bar_next, fresh)
        else:
            moved = ddim_step(x, x0, alpha_bar, alpha_bar_next, eta, fresh)
    return moved, History(x0, alpha_bar)
