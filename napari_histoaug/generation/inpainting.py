"""Inpainting a hole in an image: mask in, tissue out, every other byte as it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_histoaug.diffusion import METHODS, sample_inpainting
from napari_histoaug.generation.composite import MOST_BEYOND, composite, feather, match_rim, prefill
from napari_histoaug.generation.denoiser import Denoiser
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.previews import Preview, Previews
from napari_histoaug.generation.space import decode, encode, pixels_of, state_hole
from napari_histoaug.generation.window import (
    Mpp,
    Window,
    resize_hole,
    resize_image,
    scale_to,
    scaled_shape,
    window_around,
)

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

RIM = 8.0  # px of the network over which real and generated tissue are blended


@dataclass(frozen=True)
class InpaintResult:
    """What an inpaint made.

    Attributes
    ----------
    image : uint8, (H, W, 3)
        Equal to the input wherever `changed` is False.
    changed : bool, (H, W)
        The dilated hole, at most 32 px beyond the hole.
    evaluations : int
        Forward passes of the U-Net.
    method, steps, seed, label
        As used; `steps` with its default filled in.
    seconds : float
        Wall time.
    """

    image: Image
    changed: Bool
    evaluations: int
    method: str
    steps: int
    seed: int
    label: str
    seconds: float


def inpaint(
    generator: Generator,
    image: Image,
    hole: Bool,
    label: str = "blood_vessel",
    mpp: Mpp | None = None,
    method: str = "pixel-time",
    steps: int | None = None,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    preview: Preview | None = None,
    preview_every: int = 5,
) -> InpaintResult:
    """Fill `hole` with tissue of class `label`.

    Parameters
    ----------
    generator : Generator
        See :func:`~napari_histoaug.generation.load_generator`.
    image : uint8, (H, W, 3)
        The hole with its surroundings; 64 px or more around the hole are worth having.
    hole : bool, (H, W)
        True = synthesise here.
    label : str
        A class of the generator, or "background" for tissue without a vessel.
    mpp : float or (float, float), optional
        Micrometres per pixel of `image`, (y, x); resampled to the generator's and back.
    method : {"pixel-time", "repaint", "langevin"}
        See :func:`~napari_histoaug.diffusion.sample_inpainting`.
    steps : int, optional
        Noise levels; the generator's own default for "pixel-time", the published ones otherwise.
    seed : int
        The same seed, input and device give the same pixels.
    progress : callable, optional
        Called with (done, total) after every network evaluation.
    cancelled : callable, optional
        Asked before every evaluation; True stops.
    preview : callable, optional
        Called now and then with the image as it would be if sampling ended here.
    preview_every : int
        Least number of evaluations between previews.

    Returns
    -------
    InpaintResult

    Raises
    ------
    GenerationError
        When there is no hole, shapes differ, or the label or method is unknown.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so.
    """
    started = time.perf_counter()
    image, hole = _checked(image, hole, method)
    value = generator.value_of(label)
    scale = scale_to(mpp, generator.mpp)
    shape = scaled_shape(hole.shape, scale)
    small, small_hole = resize_image(image, shape), resize_hole(hole, shape)
    window = window_around(small_hole, generator.stride, generator.index.patch)
    job = _Job(
        generator, window.cut(small).astype(np.uint8), window.cut_hole(small_hole), value, method
    )
    weight = feather(hole, min(RIM / max(scale), MOST_BEYOND))

    def in_place(state: Tensor) -> tuple[Image, Bool]:
        return composite(image, _back(small, window, job.image_of(state), hole.shape), weight)

    watch = Previews(preview, preview_every, in_place)
    levels = generator.default_steps if steps is None and method == "pixel-time" else steps
    state = job.sample(levels, seed, progress, cancelled, watch)
    blended, changed = in_place(state)
    return InpaintResult(
        image=blended,
        changed=changed,
        evaluations=job.denoise.evaluations,
        method=method,
        steps=job.steps_used(levels),
        seed=seed,
        label=label,
        seconds=time.perf_counter() - started,
    )


def _checked(image: Image, hole: Bool, method: str) -> tuple[Image, Bool]:
    image, hole = np.asarray(image), np.asarray(hole, dtype=bool)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise GenerationError(
            f"The image must be 8-bit RGB (height, width, 3), not {image.dtype} {image.shape}."
        )
    if hole.shape != image.shape[:2]:
        raise GenerationError(
            f"The hole is {hole.shape}, the image {image.shape[:2]}; they must agree."
        )
    if not hole.any():
        raise GenerationError("There is no hole to fill; paint a mask first.")
    if method not in METHODS:
        raise GenerationError(f"There is no method {method!r}; use one of {', '.join(METHODS)}.")
    return image, hole


def _back(small: Image, window: Window, made: Image, shape: tuple[int, int]) -> Image:
    """Put the window's pixels into the resampled image and bring that back to full size."""
    whole = small.copy()
    window.paste(whole, made)
    return resize_image(whole, shape)


class _Job:
    """One window's worth of sampling."""

    def __init__(
        self, generator: Generator, image: Image, hole: Bool, value: int, method: str
    ) -> None:
        self.generator, self.image, self.method = generator, image, method
        self.hole = state_hole(generator, hole)
        self.made = pixels_of(generator, self.hole)
        self.known = encode(generator, prefill(image, self.made))
        size = (int(self.known.shape[2]), int(self.known.shape[3]))
        guidance = generator.index.sampling.guidance
        self.denoise = Denoiser(generator, self._labels(hole, value), size, guidance)

    def _labels(self, hole: Bool, value: int) -> Tensor:
        classes = len(self.generator.classes)
        # Around the painted shape, inside what is made anew, is plain tissue. Outside, a network
        # with two-level time is told nothing; the other methods denoise everywhere and know the
        # label of the surroundings as tissue.
        said = np.where(hole, value, 0)
        if self.method == "pixel-time":
            said = np.where(self.made, said, classes + 1)
        one_hot = said[None] == np.arange(classes + 2)[:, None, None]
        return torch.from_numpy(one_hot[None].astype(np.float32))

    def sample(
        self,
        steps: int | None,
        seed: int,
        progress: Progress | None,
        cancelled: Cancelled | None,
        watch: Previews,
    ) -> Tensor:
        sampling = self.generator.index.sampling
        pixel_time = self.method == "pixel-time"
        return sample_inpainting(
            self.denoise,
            self.known,
            self.hole,
            method=self.method,
            schedule=self.generator.schedule,
            steps=steps,
            solver=sampling.solver if pixel_time else None,
            spacing=sampling.spacing if pixel_time else None,
            seed=seed,
            progress=progress,
            cancelled=cancelled,
            preview=watch if watch.wanted else None,
        )

    def image_of(self, state: Tensor) -> Image:
        return match_rim(self.image, decode(self.generator, state), self.made)

    def steps_used(self, steps: int | None) -> int:
        return self.denoise.evaluations if steps is None else steps
