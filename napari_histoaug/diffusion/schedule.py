"""The noise schedule: how much noise a training timestep carries, and which ones a sampler visits.

Everything is float64 on the CPU; a sampler takes single coefficients out as Python floats, so that
the accuracy of a step depends only on the dtype of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from napari_histoaug.errors import HistoaugError

Spacing = Literal["linear", "quadratic", "karras"]
SPACINGS: tuple[str, ...] = get_args(Spacing)
KARRAS_RHO = 7.0


class SamplingError(HistoaugError, ValueError):
    """A sampler was asked for something that it cannot do."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """The variances of the forward (noising) chain, timestep 0 being the least noisy.

    Attributes
    ----------
    betas : Tensor
        float64 (T,): the variance added by the move to timestep t from the one before it.
    alpha_bar : Tensor
        float64 (T,): the signal left, ``x_t = sqrt(alpha_bar[t]) x_0 + sqrt(1 - alpha_bar[t]) e``.
    """

    betas: Tensor
    alpha_bar: Tensor

    def __len__(self) -> int:
        return len(self.betas)

    def alpha_bar_at(self, timestep: int) -> float:
        """``alpha_bar`` of one timestep; -1 is the clean image, 1.0 exactly."""
        return 1.0 if timestep == -1 else float(self.alpha_bar[timestep])

    def gather(self, timesteps: Tensor) -> Tensor:
        """``alpha_bar`` of int64 timesteps of any shape, on their device (float32 on MPS)."""
        dtype = torch.float32 if timesteps.device.type == "mps" else torch.float64
        return self.alpha_bar[timesteps.cpu()].to(device=timesteps.device, dtype=dtype)


def schedule_from_betas(betas: Tensor) -> Schedule:
    """The schedule of any variances ``betas`` (T,), each strictly between 0 and 1."""
    betas = betas.detach().to(device="cpu", dtype=torch.float64)
    if betas.ndim != 1 or len(betas) == 0 or not bool(((betas > 0) & (betas < 1)).all()):
        raise SamplingError(
            "The betas of a noise schedule have to be a row of numbers between 0 and 1."
        )
    return Schedule(betas, torch.cumprod(1.0 - betas, 0))


def linear_schedule(timesteps: int = 1000, start: float = 1e-4, end: float = 0.02) -> Schedule:
    """Betas rising linearly from ``start`` to ``end`` over ``timesteps`` (Ho et al. 2020)."""
    return schedule_from_betas(torch.linspace(start, end, timesteps, dtype=torch.float64))


def spaced_timesteps(schedule: Schedule, steps: int, spacing: Spacing = "quadratic") -> list[int]:
    """The timesteps a sampler visits, noisiest first.

    Parameters
    ----------
    schedule : Schedule
    steps : int
        How many timesteps to place, 1 to ``len(schedule)``.
    spacing : {"linear", "quadratic", "karras"}
        Even in t; even in sqrt(t); even in sigma^(1/7) (Karras et al. 2022).

    Returns
    -------
    list of int
        Strictly decreasing, from the last timestep to 0. Neighbours that round to the same timestep
        are merged, so the list can be shorter than ``steps``.
    """
    last = len(schedule) - 1
    if not 1 <= steps <= last + 1:
        raise SamplingError(f"The number of steps has to be 1 to {last + 1}, not {steps}.")
    if spacing not in SPACINGS:
        raise SamplingError(
            f"There is no spacing '{spacing}'; choose one of {', '.join(SPACINGS)}."
        )
    if steps == 1:
        return [last]
    grid = torch.linspace(1, 0, steps, dtype=torch.float64)
    if spacing == "linear":
        placed = last * grid
    elif spacing == "quadratic":
        placed = last * grid**2
    else:
        placed = _karras(schedule, grid)
    return list(dict.fromkeys(int(t) for t in placed.round()))


def checked_timesteps(schedule: Schedule, timesteps: Sequence[int]) -> list[int]:
    """Timesteps given by hand, as a list: strictly decreasing and inside the schedule."""
    levels = [int(t) for t in timesteps]
    falling = all(before > after for before, after in pairwise(levels))
    if not levels or not falling or levels[-1] < 0 or levels[0] >= len(schedule):
        raise SamplingError(
            f"The timesteps have to fall strictly, from at most {len(schedule) - 1} to 0 or above."
        )
    return levels


def _karras(schedule: Schedule, grid: Tensor) -> Tensor:
    """Fractional timesteps whose sigma^(1/rho) is even, found on the log-sigma curve."""
    sigma = ((1 - schedule.alpha_bar) / schedule.alpha_bar).sqrt()
    low, high = sigma[0] ** (1 / KARRAS_RHO), sigma[-1] ** (1 / KARRAS_RHO)
    wanted = KARRAS_RHO * (low + grid * (high - low)).log()
    curve = sigma.log()
    right = torch.searchsorted(curve, wanted).clamp(1, len(curve) - 1)
    fraction = (wanted - curve[right - 1]) / (curve[right] - curve[right - 1])
    return (right - 1 + fraction).clamp(0, len(curve) - 1)


def respaced_betas(schedule: Schedule, timesteps: Sequence[int]) -> list[float]:
    """The beta of every move in a chain that visits only ``timesteps`` (noisiest first).

    Entry i is the variance of the one move from the next cleaner entry (the clean image after the
    last) to ``timesteps[i]``, so that composing the moves gives ``q(x_t | x_0)`` of the full chain.
    """
    levels = [schedule.alpha_bar_at(t) for t in [*timesteps, -1]]
    return [1.0 - levels[i] / levels[i + 1] for i in range(len(timesteps))]
