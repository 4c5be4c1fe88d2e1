"""How a hole is filled: a method or a preset by name, and what it leaves to the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_histoaug.diffusion import METHODS, PRESETS, SamplingError, evaluations
from napari_histoaug.diffusion.plan import DEFAULTS
from napari_histoaug.generation.generator import GenerationError, Generator

WAYS = (*METHODS, *PRESETS)


@dataclass(frozen=True)
class Way:
    """A settled way of sampling.

    Attributes
    ----------
    name : str
        The method or preset as it was asked for; with `steps` it is all that a record needs.
    method : {"pixel-time", "repaint", "langevin"}
    steps : int
        Noise levels.
    options : mapping
        The other arguments of :func:`~napari_histoaug.diffusion.sample_inpainting`.
    """

    name: str
    method: str
    steps: int
    options: Mapping[str, Any]

    @classmethod
    def of(cls, generator: Generator, name: str, steps: int | None = None) -> Way:
        """Settle a method or preset; `steps` overrides its number of levels.

        Raises
        ------
        GenerationError
            When there is no such method or preset, or it cannot have so many steps.
        """
        if name not in WAYS:
            raise GenerationError(f"There is no method {name!r}; use one of {', '.join(WAYS)}.")
        sampling = generator.index.sampling
        method, options = name, dict[str, Any]()
        if name in PRESETS:
            method = str(PRESETS[name].method)
            options = dict(PRESETS[name].parameters)
            usual = options.pop("steps")
        elif name == "pixel-time":
            usual = sampling.steps
            options = {"solver": sampling.solver, "spacing": sampling.spacing}
        else:
            usual = DEFAULTS[name].steps
        way = cls(name, method, usual if steps is None else steps, options)
        try:
            way.evaluations(generator)
        except SamplingError as error:
            raise GenerationError(str(error)) from None
        return way

    def evaluations(self, generator: Generator, strength: float = 1.0) -> int:
        """Evaluations of the state that a run will take."""
        counted = {key: part for key, part in self.options.items() if key != "solver"}
        return evaluations(
            self.method,
            self.steps,
            schedule=generator.schedule,
            strength=strength,
            **counted,
        )
