"""The mathematics of diffusion: schedules, samplers and inpainting, as small pure functions.

Nothing here knows what an image shows or which network denoises it.
"""

from .inpainting import sample, sample_inpainting
from .noise import FieldNoise, NoiseSource, SeededNoise
from .plan import METHODS, evaluations
from .predictions import (
    add_noise,
    guided,
    noise_from_velocity,
    noise_from_x0,
    velocity,
    x0_from_noise,
    x0_from_velocity,
)
from .presets import PRESETS, Preset, preset
from .repaint import repaint_schedule
from .schedule import (
    SPACINGS,
    SamplingError,
    Schedule,
    linear_schedule,
    respaced_betas,
    schedule_from_betas,
    spaced_timesteps,
)
from .steps import SOLVERS, History, ancestral_step, ddim_step, dpmpp_2m_step
from .windows import Window, WindowDenoiser, Windowed

__all__ = [
    "METHODS",
    "PRESETS",
    "SOLVERS",
    "SPACINGS",
    "FieldNoise",
    "History",
    "NoiseSource",
    "Preset",
    "SamplingError",
    "Schedule",
    "SeededNoise",
    "Window",
    "WindowDenoiser",
    "Windowed",
    "add_noise",
    "ancestral_step",
    "ddim_step",
    "dpmpp_2m_step",
    "evaluations",
    "guided",
    "linear_schedule",
    "noise_from_velocity",
    "noise_from_x0",
    "preset",
    "repaint_schedule",
    "respaced_betas",
    "sample",
    "sample_inpainting",
    "schedule_from_betas",
    "spaced_timesteps",
    "velocity",
    "x0_from_noise",
    "x0_from_velocity",
]
