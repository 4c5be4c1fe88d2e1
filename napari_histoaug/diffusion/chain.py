"""A respaced chain: the levels of one run, numbered from 0 (cleanest) up, -1 the clean image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .noise import NoiseSource
from .schedule import Schedule, respaced_betas
from .steps import History, Solver, solver_step


@dataclass(frozen=True, eq=False)
class Chain:
    """Levels of a run and how it moves between them.

    Attributes
    ----------
    schedule : Schedule
    timesteps : sequence of int
        Training timesteps, noisiest first.
    solver, eta
        See `napari_histoaug.diffusion.sample_inpainting`.
    noise : NoiseSource
        For the start, the moves and the corrections.
    known_noise : NoiseSource
        For known pixels noised to a level. A stream of its own: whether pixels are known does not
        shift the numbers that the unknown ones see.
    """

    schedule: Schedule
    timesteps: Sequence[int]
    solver: Solver
    eta: float
    noise: NoiseSource
    known_noise: NoiseSource
    _betas: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_betas", respaced_betas(self.schedule, self.timesteps))

    def __len__(self) -> int:
        return len(self.timesteps)

    def timestep(self, level: int) -> int:
        """The training timestep of a level; -1 of the clean image."""
        return -1 if level == -1 else self.timesteps[len(self.timesteps) - 1 - level]

    def alpha_bar(self, level: int) -> float:
        """The signal left at a level; 1.0 for the clean image."""
        return self.schedule.alpha_bar_at(self.timestep(level))

    def beta(self, level: int) -> float:
        """The variance of the move from the level below up to ``level``."""
        return self._betas[len(self.timesteps) - 1 - level]

    def down(
        self, x: Tensor, x0: Tensor, level: int, history: History | None
    ) -> tuple[Tensor, History]:
        """The solver's move from ``level`` to the one below."""
        return solver_step(
            self.solver,
            x,
            x0,
            self.alpha_bar(level),
            self.alpha_bar(level - 1),
            history=history,
            eta=self.eta,
            noise=self.noise,
        )
