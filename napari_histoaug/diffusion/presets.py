"""Settings with a name, so that a list, a command and a record can say the same thing shortly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .plan import Method, make_plan
from .schedule import SamplingError, Schedule


@dataclass(frozen=True)
class Preset:
    """A method with its parameters.

    Attributes
    ----------
    name, about : str
        For lists: one word, one line.
    method : {"pixel-time", "repaint", "langevin"}
    parameters : mapping
        The other arguments of `napari_histoaug.diffusion.sample_inpainting`.
    """

    name: str
    method: Method
    parameters: Mapping[str, Any] = field(hash=False)
    about: str

    @property
    def evaluations(self) -> int:
        """Network evaluations of a run from pure noise with 1000 training timesteps."""
        return self.count()

    def count(self, schedule: Schedule | None = None, strength: float = 1.0) -> int:
        """Network evaluations with another schedule, or from a start noised to ``strength``."""
        return make_plan(
            self.method, schedule=schedule, strength=strength, **self.parameters
        ).evaluations


def _preset(name: str, about: str, method: Method, **parameters: Any) -> Preset:
    return Preset(name, method, MappingProxyType(parameters), about)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _preset(
                "paper",
                "RePaint as published: 250 levels, jumps of 10, each stretch sampled 10 times",
                "repaint",
                steps=250,
                solver="ancestral",
                spacing="linear",
                jump_length=10,
                jump_n_sample=10,
            ),
            _preset(
                "repaint-50",
                "RePaint shortened: 50 levels, jumps of 5, each stretch sampled 5 times",
                "repaint",
                steps=50,
                solver="ancestral",
                spacing="linear",
                jump_length=5,
                jump_n_sample=5,
            ),
            _preset(
                "fast",
                "any network, no special training: 17 levels, 2 Langevin corrections at each",
                "langevin",
                steps=17,
                solver="ancestral",
                spacing="quadratic",
                corrections=2,
            ),
            _preset(
                "turbo",
                "a network with a time per pixel: 20 levels of DPM-Solver++(2M)",
                "pixel-time",
                steps=20,
                solver="dpmpp-2m",
                spacing="quadratic",
            ),
            _preset(
                "draft",
                "the same with 10 levels: a first look",
                "pixel-time",
                steps=10,
                solver="dpmpp-2m",
                spacing="quadratic",
            ),
        )
    }
)


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises
    ------
    SamplingError
        When there is none; the message lists the names.
    """
    if name not in PRESETS:
        raise SamplingError(f"There is no preset '{name}'; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
