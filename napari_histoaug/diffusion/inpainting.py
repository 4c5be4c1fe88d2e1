"""Filling a hole in clean surroundings, and making whole images: the two doors of this room."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .chain import Chain
from .langevin import STEP_SIZE, walk_langevin
from .noise import NoiseSource, Seed, SeededNoise
from .pixel_time import walk_pixel_time
from .plan import Plan, make_plan
from .predictions import add_noise
from .repaint import walk_repaint
from .schedule import SamplingError, Schedule, linear_schedule
from .watching import Cancel, Denoiser, Evaluator, Preview, Progress


def sample_inpainting(
    denoise: Denoiser,
    known: Tensor,
    hole: Tensor,
    method: str = "pixel-time",
    *,
    schedule: Schedule | None = None,
    steps: int | None = None,
    timesteps: Sequence[int] | None = None,
    solver: str | None = None,
    spacing: str | None = None,
    eta: float = 0.0,
    seed: Seed = 0,
    jump_length: int = 10,
    jump_n_sample: int = 10,
    corrections: int = 4,
    langevin_size: float = STEP_SIZE,
    start: Tensor | None = None,
    strength: float = 1.0,
    clip: tuple[float, float] | None = None,
    noise: NoiseSource | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
    preview: Preview | None = None,
) -> Tensor:
    """Fill ``hole`` so that it goes with the ``known`` pixels around it.

    Parameters
    ----------
    denoise : callable
        ``denoise(x, t, hole) -> predicted noise``: x (B, C, H, W) of known's dtype, t int64 (B,)
        0-based training timesteps, hole bool (B, 1, H, W): True where a pixel is at level t, the
        others are clean (all True for "repaint" and "langevin": a plain denoiser).
    known : Tensor
        (B, C, H, W), float. What it holds inside the hole is never looked at.
    hole : Tensor
        bool (B, 1, H, W), True = synthesise here.
    method : {"pixel-time", "repaint", "langevin"}
        Known pixels clean at their own time (needs a network trained for it); the published
        RePaint; replacement with Langevin corrections.
    schedule : Schedule, optional
        `linear_schedule(1000)` if omitted.
    steps : int, optional
        Noise levels (merged where they round to the same timestep). 20; 250 for "repaint"; 50 for
        "langevin".
    timesteps : sequence of int, optional
        The levels themselves, as training timesteps, noisiest first; instead of ``steps`` and
        ``spacing``.
    solver : {"dpmpp-2m", "ddim", "ancestral"}, optional
        "dpmpp-2m" for "pixel-time", "ancestral" (the published one) otherwise.
    spacing : {"quadratic", "linear", "karras"}, optional
        "linear" for "repaint" (the published one), "quadratic" otherwise.
    eta : float
        Fresh noise of "ddim": 0 deterministic, 1 as much as "ancestral".
    seed : int or sequence of int
        Image i draws from (seed, i), or from (seed[i], 0): never from its neighbours' numbers.
    jump_length, jump_n_sample : int
        Of "repaint", see `repaint_schedule`.
    corrections : int
        Langevin steps at each level, each one evaluation.
    langevin_size : float
        Size of the Langevin steps in variances of the level, above 0 and below 2. Give a young
        network 1.0.
    start : Tensor, optional
        An image (B, C, H, W) to start from (a donor), noised to the level that ``strength`` names
        (SDEdit, Meng et al. 2022). What it holds outside the hole is never looked at.
    strength : float
        The part of the levels to walk, 1.0 all; the evaluations fall with it. Below 1 only together
        with ``start``.
    clip : tuple of float, optional
        Bounds of clean predictions; nothing is clipped unless asked.
    noise : callable, optional
        ``noise(shape) -> tensor``, instead of the seeded one.
    progress : callable, optional
        ``progress(done, total)`` after every evaluation.
    cancelled : callable, optional
        Asked before every evaluation; True raises `napari_histoaug.errors.Cancelled`.
    preview : callable, optional
        ``preview(done, total, x0)`` after every evaluation: the clean prediction (B, C, H, W) with
        the known pixels in place. The caller throttles.

    Returns
    -------
    Tensor
        (B, C, H, W) of known's dtype and device; equal to ``known`` outside the hole, whichever
        the method (published RePaint returns the network's own pixels there).

    Notes
    -----
    Gradients are recorded only if ``known`` requires them. Without any hole the network is not
    called; with a hole everywhere "pixel-time" is `sample`, to the bit.
    """
    _check(known, hole, start, strength)
    plan = make_plan(
        method,
        steps,
        schedule=schedule,
        timesteps=timesteps,
        solver=solver,
        spacing=spacing,
        jump_length=jump_length,
        jump_n_sample=jump_n_sample,
        corrections=corrections,
        langevin_size=langevin_size,
        strength=strength,
    )
    if not bool(hole.any()):
        return known.clone()
    chain = _chain(plan, schedule or linear_schedule(), eta, seed, noise, known)
    evaluate = Evaluator(
        denoise,
        chain.schedule,
        noisy=hole if plan.method == "pixel-time" else torch.ones_like(hole),
        known=known,
        hole=hole,
        total=plan.evaluations,
        clip=clip,
        progress=progress,
        cancelled=cancelled,
        preview=preview,
    )
    with torch.set_grad_enabled(known.requires_grad):
        x = chain.noise(tuple(known.shape))
        if start is not None:
            donor = torch.where(hole, start.to(known), known)
            x = add_noise(donor, x, chain.alpha_bar(len(chain) - 1))
        x = _walk(plan, chain, evaluate, x)
        return torch.where(hole, x, known)


def sample(
    denoise: Denoiser,
    shape: tuple[int, int, int, int],
    *,
    schedule: Schedule | None = None,
    steps: int | None = None,
    timesteps: Sequence[int] | None = None,
    solver: str | None = None,
    spacing: str | None = None,
    eta: float = 0.0,
    seed: Seed = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    start: Tensor | None = None,
    strength: float = 1.0,
    clip: tuple[float, float] | None = None,
    noise: NoiseSource | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
    preview: Preview | None = None,
) -> Tensor:
    """Make whole images of ``shape`` (B, C, H, W): inpainting where nothing is known.

    The parameters are those of `sample_inpainting`; the network is told of a hole everywhere.
    """
    known = torch.zeros(shape, dtype=dtype, device=device)
    return sample_inpainting(
        denoise,
        known,
        torch.ones_like(known[:, :1], dtype=torch.bool),
        schedule=schedule,
        steps=steps,
        timesteps=timesteps,
        solver=solver,
        spacing=spacing,
        eta=eta,
        seed=seed,
        start=start,
        strength=strength,
        clip=clip,
        noise=noise,
        progress=progress,
        cancelled=cancelled,
        preview=preview,
    )


def _check(known: Tensor, hole: Tensor, start: Tensor | None, strength: float) -> None:
    if known.ndim != 4 or not known.is_floating_point():
        raise SamplingError(
            "The known image has to be a floating-point tensor (batch, channels, height, width), "
            f"not {known.dtype} of shape {tuple(known.shape)}."
        )
    wanted = (known.shape[0], 1, *known.shape[2:])
    if hole.dtype != torch.bool or tuple(hole.shape) != wanted:
        raise SamplingError(
            f"The hole has to be a bool tensor of shape {wanted}, not {hole.dtype} of shape "
            f"{tuple(hole.shape)}."
        )
    if start is None and strength != 1.0:
        raise SamplingError("A strength below 1 needs an image to start from.")
    if start is not None and start.shape != known.shape:
        raise SamplingError(
            f"The image to start from has shape {tuple(start.shape)}, the known image "
            f"{tuple(known.shape)}; they have to be equal."
        )


def _chain(
    plan: Plan,
    schedule: Schedule,
    eta: float,
    seed: Seed,
    noise: NoiseSource | None,
    known: Tensor,
) -> Chain:
    """The levels with their noise: an injected source serves both purposes of the seeded two."""
    if eta < 0.0 or eta > 1.0:
        raise SamplingError(f"Eta has to be 0 to 1, not {eta}.")
    moves = noise or SeededNoise(seed, known.dtype, known.device)
    pastes = noise or SeededNoise(seed, known.dtype, known.device, stream=1)
    return Chain(schedule, plan.timesteps, plan.solver, eta, moves, pastes)


def _walk(plan: Plan, chain: Chain, evaluate: Evaluator, x: Tensor) -> Tensor:
    if plan.method == "repaint":
        return walk_repaint(chain, evaluate, x, plan.jump)
    if plan.method == "langevin":
        return walk_langevin(chain, evaluate, x, plan.corrections, plan.langevin_size)
    return walk_pixel_time(chain, evaluate, x)
