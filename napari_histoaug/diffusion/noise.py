"""Where a sampler's randomness comes from: any callable ``noise(shape) -> standard normal``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .schedule import SamplingError

Seed = int | Sequence[int]

FIELD_SQUARE = 64  # px that `FieldNoise` draws at once; another number is another field


class NoiseSource(Protocol):
    """Gives a fresh standard normal tensor of ``shape`` (B, C, H, W) at each call."""

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        """Draw once."""
        ...


class SeededNoise:
    """A generator of its own for every image, so that no image knows the others of its batch.

    Image i of a batch draws from (seed, i); with a sequence of seeds image i draws from
    (seed[i], 0), as it would alone. Numbers are drawn in float64 on the CPU and then cast, so they
    are the same for every dtype and device.

    Parameters
    ----------
    seed : int or sequence of int
        Any integers, negative ones included.
    dtype, device
        Of the tensors drawn.
    stream : int
        Independent numbers for the same seed (one stream a purpose).
    """

    def __init__(
        self,
        seed: Seed,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        stream: int = 0,
    ) -> None:
        self._seed = seed
        self._dtype = dtype
        self._device = device
        self._stream = stream
        self._generators: list[torch.Generator] = []

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers of ``shape``; the first axis counts the images."""
        while len(self._generators) < shape[0]:
            words = _image_words(self._seed, len(self._generators))
            self._generators.append(_generator(*words, self._stream))
        images = [
            torch.randn(shape[1:], generator=generator, dtype=torch.float64)
            for generator in self._generators[: shape[0]]
        ]
        return torch.stack(images).to(self._dtype).to(self._device)


class FieldNoise:
    """Noise that belongs to places: a pixel's numbers depend on where it lies, not on the request.

    Two requests of the same field agree wherever they overlap, whatever their sizes: a region can
    be made larger, or in parts, with the same noise. Drawn in small squares, so that the memory is
    hardly more than the result's.

    Parameters
    ----------
    seed, dtype, device, stream
        As of `SeededNoise`, with other numbers.
    origin : (int, int)
        Place in the field of the upper left pixel asked for, (y, x); may be negative.
    """

    def __init__(
        self,
        seed: Seed,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        stream: int = 0,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self._seed = seed
        self._dtype = dtype
        self._device = device
        self._stream = stream
        self._origin = origin
        self._draws = 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers of ``shape`` (B, C, H, W); each call draws a field of its own."""
        count, _, height, width = shape
        out = torch.empty(shape, dtype=self._dtype)
        (y, x), step = self._origin, FIELD_SQUARE
        for image in range(count):
            for top in range(y // step * step, y + height, step):
                for left in range(x // step * step, x + width, step):
                    rows = slice(max(top, y), min(top + step, y + height))
                    columns = slice(max(left, x), min(left + step, x + width))
                    square = self._square(image, shape[1], top, left)
                    out[image, :, _moved(rows, y), _moved(columns, x)] = square[
                        :, _moved(rows, top), _moved(columns, left)
                    ].to(self._dtype)
        self._draws += 1
        return out.to(self._device)

    def _square(self, image: int, channels: int, top: int, left: int) -> Tensor:
        """Channel by channel, so that the first ones do not depend on how many there are."""
        words = (*_image_words(self._seed, image), self._stream, self._draws, top, left)
        return torch.stack(
            [
                torch.randn(
                    (FIELD_SQUARE, FIELD_SQUARE),
                    generator=_generator(*words, channel),
                    dtype=torch.float64,
                )
                for channel in range(channels)
            ]
        )


def _moved(part: slice, by: int) -> slice:
    return slice(part.start - by, part.stop - by)


def _image_words(seed: Seed, index: int) -> tuple[int, int]:
    """What the numbers of image ``index`` of a batch are drawn from."""
    if not isinstance(seed, Sequence):
        return seed, index
    if index >= len(seed):
        raise SamplingError(
            f"There are {len(seed)} seeds for more images; give every image its seed."
        )
    return seed[index], 0


def _generator(*words: int) -> torch.Generator:
    """A generator of its own for these words; neighbouring ones share nothing."""
    mixed = np.random.SeedSequence([int(word) % 2**64 for word in words])
    return torch.Generator().manual_seed(int(mixed.generate_state(1, np.uint64)[0]) >> 1)
