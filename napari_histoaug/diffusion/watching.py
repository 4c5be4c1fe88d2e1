"""One network evaluation, watched: cancel asked before it, progress and preview told after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_histoaug.errors import Cancelled

from .predictions import x0_from_noise
from .schedule import SamplingError, Schedule

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``denoise(x, t, hole) -> noise``: x (B, C, H, W), t int64 (B,), hole bool (B, 1, H, W)."""
Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]
Preview = Callable[[int, int, Tensor], None]


@dataclass
class Evaluator:
    """Calls the network and turns its noise into a clean prediction with the known pixels in place.

    Attributes
    ----------
    denoise : Denoiser
    schedule : Schedule
    noisy : Tensor
        bool (B, 1, H, W), handed to the network: which pixels are at level t.
    known, hole : Tensor
        The clean image (B, C, H, W) and where to synthesise, bool (B, 1, H, W).
    total : int
        Evaluations of the whole run, for progress and preview.
    clip : tuple of float, optional
        Bounds of clean predictions.
    """

    denoise: Denoiser
    schedule: Schedule
    noisy: Tensor
    known: Tensor
    hole: Tensor
    total: int
    clip: tuple[float, float] | None = None
    progress: Progress | None = None
    cancelled: Cancel | None = None
    preview: Preview | None = None
    done: int = 0

    def __call__(self, x: Tensor, timestep: int) -> Tensor:
        """The clean image (B, C, H, W) the network sees in ``x``; nothing is pasted into it."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("The sampling was cancelled.")
        t = torch.full((x.shape[0],), timestep, dtype=torch.int64, device=x.device)
        noise = self.denoise(x, t, self.noisy)
        if noise.shape != x.shape:
            raise SamplingError(
                f"The network returned noise of shape {tuple(noise.shape)} for images of shape "
                f"{tuple(x.shape)}; it has to return one value per pixel and channel."
            )
        x0 = x0_from_noise(x, noise.to(x.dtype), self.schedule.alpha_bar_at(timestep))
        if self.clip is not None:
            x0 = x0.clamp(*self.clip)
        self._tell(x0)
        return x0

    def _tell(self, x0: Tensor) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)
        if self.preview is not None:
            self.preview(self.done, self.total, torch.where(self.hole, x0.detach(), self.known))
