"""What a run will do, settled before it starts: method, solver, levels and network evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from .langevin import STEP_SIZE
from .repaint import count_evaluations, repaint_schedule
from .schedule import (
    SamplingError,
    Schedule,
    Spacing,
    checked_timesteps,
    linear_schedule,
    spaced_timesteps,
)
from .steps import SOLVERS, Solver

Method = Literal["pixel-time", "repaint", "langevin"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Defaults:
    """What a method uses when nothing is said."""

    steps: int
    solver: Solver
    spacing: Spacing


DEFAULTS: dict[str, Defaults] = {
    "pixel-time": Defaults(20, "dpmpp-2m", "quadratic"),
    # the paper's own: 250 evenly spaced levels, ancestral sampling
    "repaint": Defaults(250, "ancestral", "linear"),
    "langevin": Defaults(50, "ancestral", "quadratic"),
}


@dataclass(frozen=True)
class Plan:
    """A settled run.

    Attributes
    ----------
    method, solver
        See `napari_histoaug.diffusion.sample_inpainting`.
    timesteps : tuple of int
        Training timesteps visited, noisiest first.
    jump : tuple of int
        ``jump_length``, ``jump_n_sample`` (RePaint).
    corrections : int
        Langevin steps a level.
    langevin_size : float
        Their size in variances of the level.
    """

    method: Method
    solver: Solver
    timesteps: tuple[int, ...]
    jump: tuple[int, int]
    corrections: int
    langevin_size: float

    @property
    def evaluations(self) -> int:
        """Network evaluations of the run (for a batch: each is one call on all its images)."""
        levels = len(self.timesteps)
        if self.method == "repaint":
            return count_evaluations(repaint_schedule(levels, *self.jump))
        if self.method == "langevin":
            return levels * (self.corrections + 1)
        return levels


def make_plan(
    method: str = "pixel-time",
    steps: int | None = None,
    *,
    schedule: Schedule | None = None,
    timesteps: Sequence[int] | None = None,
    solver: str | None = None,
    spacing: str | None = None,
    jump_length: int = 10,
    jump_n_sample: int = 10,
    corrections: int = 4,
    langevin_size: float = STEP_SIZE,
    strength: float = 1.0,
) -> Plan:
    """Settle a run; the parameters are those of `napari_histoaug.diffusion.sample_inpainting`."""
    if method not in METHODS:
        raise SamplingError(f"There is no method '{method}'; choose one of {', '.join(METHODS)}.")
    defaults = DEFAULTS[method]
    solver = defaults.solver if solver is None else solver
    if solver not in SOLVERS:
        raise SamplingError(f"There is no solver '{solver}'; choose one of {', '.join(SOLVERS)}.")
    if corrections < 0:
        raise SamplingError(f"The number of corrections has to be 0 or more, not {corrections}.")
    if not 0.0 < langevin_size < 2.0:
        raise SamplingError(
            f"The size of a Langevin step has to lie between 0 and 2, not {langevin_size}."
        )
    schedule = linear_schedule() if schedule is None else schedule
    levels = _levels(schedule, timesteps, steps, spacing, defaults)
    return Plan(
        cast(Method, method),
        cast(Solver, solver),
        tuple(_last_part(levels, strength)),
        (jump_length, jump_n_sample),
        corrections,
        langevin_size,
    )


def _levels(
    schedule: Schedule,
    timesteps: Sequence[int] | None,
    steps: int | None,
    spacing: str | None,
    defaults: Defaults,
) -> list[int]:
    """The timesteps of the whole chain: those given, or those placed."""
    if timesteps is None:
        return spaced_timesteps(
            schedule,
            defaults.steps if steps is None else steps,
            cast(Spacing, defaults.spacing if spacing is None else spacing),
        )
    if steps is not None or spacing is not None:
        raise SamplingError(
            "Give the timesteps, or how many there are and their spacing; not both."
        )
    return checked_timesteps(schedule, timesteps)


def _last_part(timesteps: Sequence[int], strength: float) -> Sequence[int]:
    """The cleaner part of the levels: where a run that starts from an image begins."""
    if not 0.0 < strength <= 1.0:
        raise SamplingError(f"The strength has to be above 0 and at most 1, not {strength}.")
    kept = max(1, round(strength * len(timesteps)))
    return timesteps[len(timesteps) - kept :]


def evaluations(
    method: str = "pixel-time",
    steps: int | None = None,
    *,
    schedule: Schedule | None = None,
    timesteps: Sequence[int] | None = None,
    spacing: str | None = None,
    jump_length: int = 10,
    jump_n_sample: int = 10,
    corrections: int = 4,
    strength: float = 1.0,
) -> int:
    """How many network evaluations `sample_inpainting` will spend with the same arguments.

    Returns
    -------
    int
        Exact, merged levels included; fewer only when there is nothing to fill (then 0).
    """
    return make_plan(
        method,
        steps,
        schedule=schedule,
        timesteps=timesteps,
        spacing=spacing,
        jump_length=jump_length,
        jump_n_sample=jump_n_sample,
        corrections=corrections,
        strength=strength,
    ).evaluations
