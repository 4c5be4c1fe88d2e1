"""Whole patches from a label map: the same network, with nothing known."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.labels import soft_labels
from napari_histoaug.generation.methods import Way
from napari_histoaug.generation.previews import Preview, Previews
from napari_histoaug.generation.sampling import Cancelled, Progress, Watch, run
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
    method : str
        A method or a preset, as used.
    notes : tuple of str
        Sentences a user should read: what had to be done for lack of memory.
    """

    image: Image
    evaluations: int
    steps: int
    seed: int
    seconds: float
    method: str = "pixel-time"
    notes: tuple[str, ...] = ()


def synthesize(
    generator: Generator,
    label_mask: Labels,
    mpp: Mpp | None = None,
    steps: int | None = None,
    seed: int = 0,
    *,
    method: str = "pixel-time",
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    preview: Preview | None = None,
    preview_every: int = 5,
) -> SynthesisResult:
    """Make tissue that follows a label map of any size.

    A large map is made in overlapping windows of one state: memory beyond the result's own grows
    with the window, and no window's border shows.

    Parameters
    ----------
    generator : Generator
        See :func:`~napari_histoaug.generation.load_generator`.
    label_mask : int, (H, W)
        0 background, 1 + index into ``generator.classes`` elsewhere.
    mpp, steps, seed, progress, cancelled, preview, preview_every
        As for :func:`~napari_histoaug.generation.inpaint`.
    method : str
        "pixel-time" (with nothing known, that is the plain sampler) or a preset of it.

    Raises
    ------
    GenerationError
        When the label map has the wrong shape or values the generator does not know.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so.
    """
    started = time.perf_counter()
    labels = _checked(generator, label_mask)
    way = Way.of(generator, method, steps)
    if way.method != "pixel-time":
        raise GenerationError(
            f"{method} fills holes in known surroundings; make whole tissue with pixel-time, turbo "
            "or draft."
        )
    shape = scaled_shape(labels.shape, scale_to(mpp, generator.mpp))
    soft = soft_labels(
        _pad(resize_labels(labels, shape), generator.stride),
        len(generator.classes),
        generator.factor,
    )

    def image_of(state: Tensor) -> tuple[Image, npt.NDArray[np.bool_]]:
        made = decode(generator, state)[: shape[0], : shape[1]]
        return resize_image(made, labels.shape), np.ones(labels.shape, bool)

    watch = Previews(preview, preview_every, image_of)
    known = torch.zeros((1, generator.unet.config.channels, *soft.shape[1:]))
    known = known.to(generator.device)
    made = run(
        generator,
        known,
        torch.ones_like(known[:, :1], dtype=torch.bool),
        [soft],
        way,
        [seed],
        Watch(progress, cancelled, watch if watch.wanted else None),
    )
    image, _ = image_of(made.state)
    return SynthesisResult(
        image=image,
        evaluations=made.evaluations,
        steps=way.steps,
        seed=seed,
        seconds=time.perf_counter() - started,
        method=way.name,
        notes=made.notes,
    )


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
    """Repeat the last rows and columns until both sides are multiples of `stride`, two at least."""
    extra = [(0, max(2 * stride - n, 0) or -n % stride) for n in labels.shape]
    return np.pad(labels, extra, mode="edge")
