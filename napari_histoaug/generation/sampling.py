"""Running the sampler with a generator's network: whole states, or windows of large ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_histoaug.diffusion import FieldNoise, Windowed, sample_inpainting
from napari_histoaug.generation.denoiser import Denoiser
from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.memory import ran_out, release
from napari_histoaug.generation.methods import Way

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]
PreviewState = Callable[[int, int, Tensor], None]

AT_ONCE = 3  # sides up to so many training patches go through the network whole
WINDOW = 2  # side of a window of larger states, in training patches
OVERLAP = 0.5  # of neighbouring windows, in training patches
WINDOWS_AT_ONCE = {"cpu": 1, "mps": 2, "cuda": 8}


@dataclass(frozen=True)
class Watch:
    """What a caller wants to be told and asked on the way; all optional."""

    progress: Progress | None = None
    cancelled: Cancelled | None = None
    preview: PreviewState | None = None


@dataclass(frozen=True)
class Start:
    """Where sampling starts instead of pure noise.

    Attributes
    ----------
    state : Tensor, (B, C, H, W)
    strength : float
        Part of the noise levels to walk, above 0 and at most 1.
    """

    state: Tensor
    strength: float


@dataclass(frozen=True)
class Made:
    """What sampling gave.

    Attributes
    ----------
    state : Tensor, (B, C, H, W)
    evaluations : int
        Forward passes of the U-Net.
    notes : tuple of str
        What had to be done for lack of memory.
    """

    state: Tensor
    evaluations: int
    notes: tuple[str, ...]


def run(
    generator: Generator,
    known: Tensor,
    hole: Tensor,
    labels: Sequence[Tensor],
    way: Way,
    seeds: Sequence[int],
    watch: Watch,
    start: Start | None = None,
) -> Made:
    """Fill the holes of a batch of states of any size.

    Parameters
    ----------
    known : Tensor, (B, C, H, W)
    hole : Tensor, bool (B, 1, H, W)
    labels : sequence of Tensor, (classes + 2, H, W)
        On the state's grid.
    seeds : sequence of int
        One an image.

    Raises
    ------
    GenerationError
        When memory does not suffice for the smallest window.
    """
    side = window_side(generator, (known.shape[2], known.shape[3]))
    notes: list[str] = []
    spent = 0
    while True:
        denoise = Denoiser(
            generator, labels, generator.index.sampling.guidance, rows=_rows(generator, len(seeds))
        )
        try:
            state = _sample(generator, denoise, side, known, hole, way, seeds, watch, start)
            return Made(state, spent + denoise.evaluations, (*notes, *denoise.notes))
        except RuntimeError as error:
            if not ran_out(error):
                raise
            spent += denoise.evaluations
        release(generator.device)
        side = _halved(generator, side or max(known.shape[2:]))
        notes.append(f"Memory was short: windows of {_pixels(generator, side)} px were used.")


def window_side(generator: Generator, shape: tuple[int, int]) -> int | None:
    """Side of the windows, in cells of the state, or None when it goes through whole."""
    patch = generator.index.patch // generator.factor
    if max(shape) <= AT_ONCE * patch:
        return None
    return _aligned(generator, WINDOW * patch)


def overlap_of(generator: Generator, side: int, shape: tuple[int, int]) -> int:
    """Least overlap of windows of a side in a state of `shape`, in cells of the state."""
    patch = generator.index.patch // generator.factor
    return max(1, min(round(OVERLAP * patch), side // 2, min(shape) - generator.unet.stride))


def _aligned(generator: Generator, side: int) -> int:
    stride = generator.unet.stride
    return max(2, side // stride) * stride


def _halved(generator: Generator, side: int) -> int:
    half = _aligned(generator, side // 2)
    if half >= side:
        raise GenerationError(
            f"{generator.device} has too little memory for {generator.name}, even in windows of "
            f"{_pixels(generator, side)} px; close other programs or use another device."
        )
    return half


def _pixels(generator: Generator, side: int) -> int:
    return side * generator.factor


def _rows(generator: Generator, images: int) -> int:
    return max(images, WINDOWS_AT_ONCE.get(generator.device.type, 1))


def _sample(
    generator: Generator,
    denoise: Denoiser,
    side: int | None,
    known: Tensor,
    hole: Tensor,
    way: Way,
    seeds: Sequence[int],
    watch: Watch,
    start: Start | None,
) -> Tensor:
    network = denoise.whole
    noise = None
    if side is not None:
        network = Windowed(
            denoise,
            size=(side, side),
            overlap=overlap_of(generator, side, (known.shape[2], known.shape[3])),
            align=generator.unet.stride,
            batch=denoise.rows,
            device=generator.device,
            cancelled=watch.cancelled,
        ).__call__
        noise = FieldNoise(seeds, known.dtype, known.device)
    # One autocast around all steps: the network's weights are cast once.
    with torch.inference_mode(), autocast(generator.device):
        state = sample_inpainting(
            network,
            known,
            hole,
            method=way.method,
            schedule=generator.schedule,
            steps=way.steps,
            seed=seeds,
            start=None if start is None else start.state,
            strength=1.0 if start is None else start.strength,
            noise=noise,
            progress=watch.progress,
            cancelled=watch.cancelled,
            preview=watch.preview,
            **way.options,
        )
    return state.clone()
