"""Inpainting a hole in an image: mask in, tissue out, every other byte as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_histoaug.generation.donors import STRENGTH, Donor
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.methods import Way
from napari_histoaug.generation.previews import Preview, Previews
from napari_histoaug.generation.request import Request, checked
from napari_histoaug.generation.sampling import Cancelled, Made, Progress, Start, Watch, run
from napari_histoaug.generation.window import Mpp

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


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
        As used; `method` may be a preset's name, `steps` has its default filled in.
    seconds : float
        Wall time.
    donor : str or None
        The donor's id.
    strength : float or None
        Part of the noise levels that a donor went through.
    notes : tuple of str
        Sentences a user should read: what had to be done for lack of memory.
    """

    image: Image
    changed: Bool
    evaluations: int
    method: str
    steps: int
    seed: int
    label: str
    seconds: float
    donor: str | None = None
    strength: float | None = None
    notes: tuple[str, ...] = ()


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
    donor: Donor | None = None,
    strength: float = STRENGTH,
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
        True = synthesise here. Of any size: a large one is filled in overlapping windows.
    label : str
        A class of the generator, or "background" for tissue without a vessel.
    mpp : float or (float, float), optional
        Micrometres per pixel of `image`, (y, x); resampled to the generator's and back.
    method : str
        "pixel-time", "repaint" or "langevin", see
        :func:`~napari_histoaug.diffusion.sample_inpainting`; or a preset with all its settings:
        "paper", "fast", "turbo", "draft".
    steps : int, optional
        Noise levels; the preset's, the generator's own for "pixel-time", else the published ones.
    seed : int
        The same seed, input and device give the same pixels.
    donor : Donor, optional
        A real vessel to start from instead of noise (SDEdit, Meng et al. 2022): pasted into the
        hole, stain-matched to its surroundings.
    strength : float
        How far the donor is noised: the part of the levels to walk, above 0 and at most 1.
    progress : callable, optional
        Called with (done, total) after every evaluation of the whole state.
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
        When there is no hole, shapes differ, or the label, method or strength is unknown.
    napari_histoaug.errors.Cancelled
        When `cancelled` said so.
    """
    started = time.perf_counter()
    way = Way.of(generator, method, steps)
    request = _request(generator, way, image, hole, label, mpp, seed, donor)
    watch = Previews(preview, preview_every, request.in_place)
    on_the_way = Watch(progress, cancelled, watch if watch.wanted else None)
    made = _run(generator, [request], way, [seed], strength, on_the_way)
    return _result(request, made, 0, way, label, strength, time.perf_counter() - started)


def inpaint_many(
    generator: Generator,
    images: Sequence[Image],
    holes: Sequence[Bool],
    label: str = "blood_vessel",
    mpp: Mpp | None = None,
    method: str = "pixel-time",
    steps: int | None = None,
    seeds: Sequence[int] | None = None,
    *,
    donors: Sequence[Donor] | None = None,
    strength: float = STRENGTH,
    batch: int = 8,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> list[InpaintResult]:
    """Fill one hole in each of several images, as many at once as `batch` says.

    Every image has noise of its own, so each result is that of :func:`inpaint` with the same seed,
    up to rounding. Holes whose windows have the same size go through the network together.

    Parameters
    ----------
    generator, label, mpp, method, steps, strength, cancelled
        As for :func:`inpaint`.
    images, holes : sequence
        Of equal length.
    seeds : sequence of int, optional
        One an image; 0, 1, 2, ... if omitted.
    donors : sequence of Donor, optional
        Real vessels to start from, one an image.
    batch : int
        Most holes at once; halved when memory runs out.
    progress : callable, optional
        Called with (done, total) evaluations over all batches.

    Returns
    -------
    list of InpaintResult
        In the order of `images`; `evaluations` are those of the image's batch.

    Raises
    ------
    GenerationError
        As :func:`inpaint`, or when the numbers of images, holes, seeds and donors differ.
    """
    seeds = range(len(images)) if seeds is None else seeds
    if not len(images) == len(holes) == len(seeds):
        raise GenerationError(
            f"There are {len(images)} images, {len(holes)} holes and {len(seeds)} seeds; "
            "give every image one of each."
        )
    if donors is not None and len(donors) != len(images):
        raise GenerationError(f"There are {len(images)} images and {len(donors)} donors.")
    way = Way.of(generator, method, steps)
    starts: Sequence[Donor | None] = donors if donors else [None] * len(images)
    requests = [
        _request(generator, way, image, hole, label, mpp, seed, donor)
        for image, hole, seed, donor in zip(images, holes, seeds, starts, strict=True)
    ]
    batches = list(_batches(requests, batch))
    strength = strength if donors else 1.0
    each = way.evaluations(generator, strength)
    results: dict[int, InpaintResult] = {}
    for number, members in enumerate(batches):
        started = time.perf_counter()
        watch = Watch(_counted(progress, number * each, len(batches) * each), cancelled)
        chosen = [requests[i] for i in members]
        made = _run(generator, chosen, way, [r.seed for r in chosen], strength, watch)
        for n, i in enumerate(members):
            seconds = (time.perf_counter() - started) / len(members)
            results[i] = _result(requests[i], made, n, way, label, strength, seconds)
    return [results[i] for i in range(len(requests))]


def _batches(requests: Sequence[Request], most: int) -> Iterator[list[int]]:
    """Numbers of requests whose windows are equally large, at most `most` together."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, request in enumerate(requests):
        alike.setdefault(request.window.shape, []).append(number)
    for numbers in alike.values():
        for first in range(0, len(numbers), most):
            yield numbers[first : first + most]


def _counted(progress: Progress | None, before: int, total: int) -> Callable[[int, int], None]:
    def tell(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return tell


def _request(
    generator: Generator,
    way: Way,
    image: Image,
    hole: Bool,
    label: str,
    mpp: Mpp | None,
    seed: int,
    donor: Donor | None = None,
) -> Request:
    image, hole = checked(image, hole)
    value = generator.value_of(label)
    two_times = way.method == "pixel-time"
    return Request(generator, image, hole, value, mpp, two_times, donor, seed)


def _run(
    generator: Generator,
    requests: Sequence[Request],
    way: Way,
    seeds: Sequence[int],
    strength: float,
    watch: Watch,
) -> Made:
    if not 0 < strength <= 1:
        raise GenerationError(f"The strength must be above 0 and at most 1, not {strength}.")
    known = torch.cat([request.known for request in requests])
    hole = torch.cat([request.state_hole for request in requests])
    starts: list[Tensor] = [r.start for r in requests if r.start is not None]
    start = Start(torch.cat(starts), strength) if starts else None
    labels = [request.labels for request in requests]
    return run(generator, known, hole, labels, way, seeds, watch, start)


def _result(
    request: Request,
    made: Made,
    index: int,
    way: Way,
    label: str,
    strength: float,
    seconds: float,
) -> InpaintResult:
    started = time.perf_counter()
    image, changed = request.in_place(made.state[index : index + 1])
    donor = request.donor
    return InpaintResult(
        image=image,
        changed=changed,
        evaluations=made.evaluations,
        method=way.name,
        steps=way.steps,
        seed=request.seed,
        label=label,
        seconds=seconds + time.perf_counter() - started,
        donor=None if donor is None else donor.id,
        strength=None if donor is None else strength,
        notes=made.notes,
    )
