"""Regions of any size: one state, a network that sees windows of it, tapered averages between them.

Windows are never sampled apart and blended, which would halve the variance where they meet. There
is one image ``x`` at one noise level, and all windows look at it: at every evaluation each window's
clean prediction is averaged with its neighbours' (MultiDiffusion, Bar-Tal et al. 2023), then the
whole state moves. Randomness belongs to the state too, so it knows no windows either.

    network = Windowed(denoise_windows, size=(64, 64), overlap=32, batch=8, device="cuda")
    x0 = sample_inpainting(network, known, hole, noise=FieldNoise(seed, known.dtype))

Only ``batch`` windows are on the network's device at once; the state may stay on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from napari_histoaug.errors import Cancelled

from .schedule import SamplingError
from .watching import Cancel


class Window(NamedTuple):
    """A place of the state: which image of the batch, and the upper left pixel."""

    image: int
    y: int
    x: int


WindowDenoiser = Callable[[Tensor, Tensor, Tensor, Sequence[Window]], Tensor]
"""``denoise(x, t, hole, windows) -> noise``: a `Denoiser` on a batch of windows, x (N, C, h, w), t
int64 (N,), hole bool (N, 1, h, w), that is also told where they lie (to cut label maps)."""


def window_starts(length: int, size: int, overlap: int, align: int = 1) -> list[int]:
    """Where windows start along one axis.

    Parameters
    ----------
    length, size : int
        Of the axis and of a window, in pixels of the state.
    overlap : int
        Least number of pixels shared by neighbours, below ``size``.
    align : int
        All starts but the last are multiples of it (a network that halves its maps wants this).

    Returns
    -------
    list of int
        Rising. Windows keep their place when the axis grows; the last one ends at its end.
    """
    if length <= size:
        return [0]
    stride = (size - overlap) // align * align
    if stride < 1:
        raise SamplingError(
            f"Windows of {size} pixels cannot overlap by {overlap} and start at multiples of "
            f"{align}; make them larger or let them overlap less."
        )
    return [*range(0, length - size, stride), length - size]


def taper(start: int, size: int, length: int, overlap: int, margin: int) -> Tensor:
    """The weight of a window along one axis, float64 (size,).

    It rises as a Hann window does over the overlap with a neighbour, less ``margin`` pixels of
    mere context on both sides of it, and is 1 in between and up to the ends of the axis. The
    weights of two windows that share exactly ``overlap`` pixels sum to 1.
    """
    inside = torch.arange(size, dtype=torch.float64) + 0.5 - margin
    width = overlap - 2 * margin
    rising = torch.sin(0.5 * math.pi * (inside / width).clamp(0, 1)) ** 2
    ones = torch.ones(size, dtype=torch.float64)
    return (rising if start > 0 else ones) * (rising.flip(0) if start + size < length else ones)


@dataclass(frozen=True)
class Windowed:
    """A denoiser for a state of any size, made of one for windows.

    Parameters
    ----------
    denoise : callable
        See `WindowDenoiser`.
    size : (int, int)
        Height and width of a window; a smaller state makes smaller windows.
    overlap : int
        Least overlap of neighbours. Half of ``size`` makes plain Hann windows.
    margin : int
        Pixels along the inner borders of a window that are only context and weigh nothing. When it
        is the radius of the network's receptive field, the result is that of one huge window.
    align : int
        See `window_starts`.
    batch : int
        Most windows a call of ``denoise``: what bounds memory.
    device : torch.device or str, optional
        Of the network; the state's own if omitted. Windows go there, predictions come back.
    cancelled : callable, optional
        Asked before every call of ``denoise``; True raises `napari_histoaug.errors.Cancelled`.

    Notes
    -----
    With one shared ``x`` the clean prediction is an affine function of the predicted noise with the
    same coefficients in every window, so the average of clean predictions *is* the prediction of
    the averaged noise. It is the noise that is averaged here: the same result, without the rounding
    of a division by ``sqrt(alpha_bar)``.

    Windows without a pixel at level t are not evaluated; what is returned for the other pixels,
    which are clean, means nothing.
    """

    denoise: WindowDenoiser
    size: tuple[int, int]
    overlap: int
    margin: int = 0
    align: int = 1
    batch: int = 4
    device: torch.device | str | None = None
    cancelled: Cancel | None = None

    def __post_init__(self) -> None:
        if self.margin < 0 or self.overlap <= 2 * self.margin or self.batch < 1:
            raise SamplingError(
                "Windows have to overlap by more than twice their margin (0 or more), in batches "
                f"of at least 1; not by {self.overlap} with a margin of {self.margin} in batches "
                f"of {self.batch}."
            )

    def windows(self, hole: Tensor) -> list[Window]:
        """The windows that a call with this ``hole`` (B, 1, H, W) evaluates, in order."""
        h, w = self._size(hole)
        return [
            Window(image, y, x)
            for image in range(hole.shape[0])
            for y in window_starts(hole.shape[2], h, self.overlap, self.align)
            for x in window_starts(hole.shape[3], w, self.overlap, self.align)
            if bool(hole[image, :, y : y + h, x : x + w].any())
        ]

    def calls(self, hole: Tensor) -> int:
        """Calls of ``denoise`` that one evaluation with this ``hole`` takes."""
        return -(-len(self.windows(hole)) // self.batch)

    def __call__(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """The noise of the whole state ``x`` (B, C, H, W)."""
        h, w = self._size(hole)
        weights, totals = self._weights(x)
        out = torch.zeros_like(x)
        for some in _batches(self.windows(hole), self.batch):
            if self.cancelled is not None and self.cancelled():
                raise Cancelled("The sampling was cancelled.")
            noise = self._predict(x, t, hole, some)
            for window, part in zip(some, noise, strict=True):
                weight = weights[0][window.y][:, None] * weights[1][window.x]
                out[window.image, :, window.y : window.y + h, window.x : window.x + w] += (
                    weight * part
                )
        return out / (totals[0][:, None] * totals[1])

    def _size(self, hole: Tensor) -> tuple[int, int]:
        return min(self.size[0], hole.shape[2]), min(self.size[1], hole.shape[3])

    def _predict(self, x: Tensor, t: Tensor, hole: Tensor, windows: Sequence[Window]) -> Tensor:
        """The noise of some windows, back on the state's device, in its dtype."""
        h, w = self._size(hole)
        device = x.device if self.device is None else self.device

        def cut(state: Tensor) -> Tensor:
            parts = [state[n, :, y : y + h, c : c + w] for n, y, c in windows]
            return torch.stack(parts).to(device)

        seen = cut(x)
        times = t[[window.image for window in windows]].to(device)
        noise = self.denoise(seen, times, cut(hole), windows)
        if noise.shape != seen.shape:
            raise SamplingError(
                f"The network returned noise of shape {tuple(noise.shape)} for windows of shape "
                f"{tuple(seen.shape)}; it has to return one value per pixel and channel."
            )
        return noise.to(x)

    def _weights(self, x: Tensor) -> tuple[list[dict[int, Tensor]], list[Tensor]]:
        """Along each axis: the weights of the window at a start, and their sum at every pixel."""
        weights: list[dict[int, Tensor]] = []
        totals: list[Tensor] = []
        for length, wanted in zip(x.shape[2:], self.size, strict=True):
            size = min(wanted, length)
            starts = window_starts(length, size, self.overlap, self.align)
            tapers = {s: taper(s, size, length, self.overlap, self.margin) for s in starts}
            total = torch.zeros(length, dtype=torch.float64)
            for start, weight in tapers.items():
                total[start : start + size] += weight
            weights.append({s: weight.to(x) for s, weight in tapers.items()})
            totals.append(total.to(x))
        return weights, totals


def _batches(windows: Sequence[Window], most: int) -> Iterator[Sequence[Window]]:
    for first in range(0, len(windows), most):
        yield windows[first : first + most]
