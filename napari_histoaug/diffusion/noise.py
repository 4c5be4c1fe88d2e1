"""Where a sampler's randomness comes from: any callable ``noise(shape) -> standard normal``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .schedule import SamplingError

Seed = int | Sequence[int]


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
            self._generators.append(self._generator(len(self._generators)))
        images = [
            torch.randn(shape[1:], generator=generator, dtype=torch.float64)
            for generator in self._generators[: shape[0]]
        ]
        return torch.stack(images).to(self._dtype).to(self._device)

    def _generator(self, index: int) -> torch.Generator:
        if not isinstance(self._seed, Sequence):
            words = (self._seed, index, self._stream)
        elif index < len(self._seed):
            words = (self._seed[index], 0, self._stream)
        else:
            raise SamplingError(
                f"There are {len(self._seed)} seeds for more images; give every image its seed."
            )
        # SeedSequence mixes the words, so neighbouring seeds and images share nothing.
        mixed = np.random.SeedSequence([int(word) % 2**64 for word in words])
        return torch.Generator().manual_seed(int(mixed.generate_state(1, np.uint64)[0]) >> 1)
