"""The network as the sampler wants it: ``denoise(x, t, hole) -> predicted noise``."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_histoaug.diffusion import guided, noise_from_velocity
from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.generator import Generator


class Denoiser:
    """A generator's U-Net with its label map fixed.

    Parameters
    ----------
    generator : Generator
        The network, its schedule and device.
    labels : Tensor, (1, classes + 2, H, W), float
        Soft one-hot labels; the last channel says "no label".
    size : (int, int)
        Height and width of the state.
    guidance : float
        Classifier-free guidance scale (Ho and Salimans 2022); 1 asks the network once.

    Attributes
    ----------
    evaluations : int
        Forward passes spent so far.
    """

    def __init__(
        self, generator: Generator, labels: Tensor, size: tuple[int, int], guidance: float = 1.0
    ) -> None:
        self.generator = generator
        self.guidance = guidance
        self.evaluations = 0
        self.labels = labels.to(generator.device)
        if guidance != 1:
            silent = torch.zeros_like(self.labels)
            silent[:, -1] = 1
            self.labels = torch.cat([self.labels, silent])
        # The label map stays the same over all steps: its modulation is computed once.
        with torch.inference_mode(), autocast(generator.device):
            self.maps = generator.unet.modulations(self.labels, size)

    def __call__(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """Predict the noise of `x` (1, C, h, w) at timestep `t` (1,), clean outside `hole`."""
        self.evaluations += 1
        twice = self.guidance != 1
        given = (torch.cat([part, part]) for part in (x, t, hole)) if twice else (x, t, hole)
        state, times, holes = given
        state = state.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(self.generator.device):
            out = self.generator.unet(state, times, holes, self.labels, maps=self.maps).to(x.dtype)
        if twice:
            said, silent = out.chunk(2)
            out = guided(said, silent, self.guidance)
        if self.generator.unet.config.prediction == "v":
            return noise_from_velocity(x, out, self.generator.schedule.gather(t))
        return out.clone()
