"""Whole patches from a label map: the same network, with nothing known."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_histoaug.diffusion import sample
from napari_histoaug.generation.denoiser import Denoiser
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.inpainting import Cancelled, Progress
from napari_histoaug.generation.previews import Preview, Previews
from napari_histoaug.generation.space import decode
from napari_histoaug.generation.window import (
    Mpp,
    resize_image,
    resize_labels,
    scale_to,
    scaled_shape,
)

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SynthesisResult:
    """What a synthesis made.

    Attributes
    ----------
    image : uint8, (H, W, 3)
        Of the label map's shape.
    evaluations : int
        Forward passes of the U-Net.
    steps, seed
        As used.
    seconds : float
        Wall time.
    """

    image: Image
    evaluations: int
    steps: int
    seed: int
    seconds: float


def synthesize(
    generator: Generator,
    label_mask: Labels,
    mpp: Mpp | None = None,
    steps: int | None = None,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    preview: Preview | None = None,
    preview_every: int = 5,
) -> SynthesisResult:
    """Make tissue that follows a label map.

    Parameters
    ----------
    generator : Generator
        See :func:`~napari_histoaug.generation.load_generator`.
    label_mask : int, (H, W)
        0 background, 1 + index into ``generator.classes`` elsewhere.
    mpp, steps, seed, progress, cancelled, preview, preview_every
        As for :func:`~napari_histoaug.generation.inpaint`.

    Raises
    ------
    GenerationError
        When the label map has the wrong shape or values the generator does not know.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so.
    """
    started = time.perf_counter()
    labels = _checked(generator, label_mask)
    shape = scaled_shape(labels.shape, scale_to(mpp, generator.mpp))
    padded = _pad(resize_labels(labels, shape), generator.stride)
    factor = generator.autoencoder.factor if generator.autoencoder else 1
    size = (padded.shape[0] // factor, padded.shape[1] // factor)
    denoise = Denoiser(generator, _one_hot(padded, len(generator.classes)), size)

    def image_of(state: Tensor) -> tuple[Image, npt.NDArray[np.bool_]]:
        made = decode(generator, state)[: shape[0], : shape[1]]
        return resize_image(made, labels.shape), np.ones(labels.shape, bool)

    watch = Previews(preview, preview_every, image_of)
    sampling = generator.index.sampling
    levels = sampling.steps if steps is None else steps
    state = sample(
        denoise,
        (1, generator.unet.config.channels, *size),
        schedule=generator.schedule,
        steps=levels,
        solver=sampling.solver,
        spacing=sampling.spacing,
        seed=seed,
        device=generator.device,
        progress=progress,
        cancelled=cancelled,
        preview=watch if watch.wanted else None,
    )
    image, _ = image_of(state)
    return SynthesisResult(image, denoise.evaluations, levels, seed, time.perf_counter() - started)


def _checked(generator: Generator, label_mask: Labels) -> Labels:
    labels = np.asarray(label_mask)
    if labels.ndim != 2 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise GenerationError(
            "The label map must be whole numbers (height, width), "
            f"not {labels.dtype} {labels.shape}."
        )
    most = len(generator.classes)
    if labels.min() < 0 or labels.max() > most:
        raise GenerationError(
            f"The label map holds {labels.min()} to {labels.max()}, "
            f"but {generator.name} knows values 0 to {most} only."
        )
    return labels.astype(np.uint8)


def _pad(labels: Labels, stride: int) -> Labels:
    """Repeat the last rows and columns until both sides are multiples of `stride`."""
    extra = [(0, -n % stride) for n in labels.shape]
    return np.pad(labels, extra, mode="edge")


def _one_hot(labels: Labels, classes: int) -> Tensor:
    one_hot = labels[None] == np.arange(classes + 2)[:, None, None]
    return torch.from_numpy(one_hot[None].astype(np.float32))
