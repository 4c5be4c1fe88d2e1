"""A world small enough to be exact: Gaussian images whose denoiser is known in closed form.

Images are N(0, S), S = 0.3 exp(-distance / 4) + 0.02 I on a 12 x 12 grid; the hole is the 6 x 6
middle. Every sampler is then affine in the known pixels and in each noise tensor it draws, so its
output distribution follows exactly from the derivatives: one run, one backward pass, no sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_histoaug.diffusion import Schedule, linear_schedule, sample_inpainting

SIDE = 12


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive square root of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


@dataclass
class Error:
    """How far a sampler's hole is from the exact posterior."""

    w2: float
    variance_ratio: float
    evaluations: int


class GaussianWorld:
    """Covariance, hole and the two ideal denoisers."""

    def __init__(self, length: float = 4.0, hole_side: int = 6, schedule: Schedule | None = None):
        self.schedule = schedule or linear_schedule()
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        points = torch.stack([y.flatten(), x.flatten()], 1).double()
        self.cov = 0.3 * torch.exp(-torch.cdist(points, points) / length)
        self.cov += 0.02 * torch.eye(SIDE**2, dtype=torch.float64)
        low = (SIDE - hole_side) // 2
        mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        mask[low : low + hole_side, low : low + hole_side] = True
        self.hole = mask[None, None]
        self.h, self.k = mask.flatten(), ~mask.flatten()
        self.cov_k = self.cov[self.k][:, self.k]
        self.gain = torch.linalg.solve(self.cov_k, self.cov[self.k][:, self.h]).T
        self.posterior = self.cov[self.h][:, self.h] - self.gain @ self.cov[self.k][:, self.h]
        self.calls = 0

    def plain(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """E[noise | x at level t], the whole image noisy."""
        assert bool(hole.all())
        self.calls += 1
        a = float(self.schedule.alpha_bar[t[0]])
        gain = math.sqrt(a) * torch.linalg.solve(
            a * self.cov + (1 - a) * torch.eye(SIDE**2, dtype=torch.float64), self.cov
        )
        flat = x.reshape(len(x), -1)
        return ((flat - math.sqrt(a) * flat @ gain) / math.sqrt(1 - a)).reshape(x.shape)

    def pixel_time(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """E[noise of the hole | hole at level t, the rest clean]; 0 outside."""
        if bool(hole.all()):
            return self.plain(x, t, hole)
        assert bool((hole == self.hole).all())
        self.calls += 1
        a = float(self.schedule.alpha_bar[t[0]])
        flat = x.reshape(len(x), -1)
        prior = flat[:, self.k] @ self.gain.T
        gain = math.sqrt(a) * torch.linalg.solve(
            a * self.posterior + (1 - a) * torch.eye(len(self.posterior), dtype=torch.float64),
            self.posterior,
        )
        clean = prior + (flat[:, self.h] - math.sqrt(a) * prior) @ gain
        noise = torch.zeros_like(flat)
        noise[:, self.h] = (flat[:, self.h] - math.sqrt(a) * clean) / math.sqrt(1 - a)
        return noise.reshape(x.shape)

    def measure(self, method: str, **options: Any) -> Error:
        """Run a sampler once, image j asking for the derivatives of hole pixel j."""
        count = int(self.h.sum())
        drawn: list[Tensor] = []

        def noise(shape: tuple[int, ...]) -> Tensor:
            drawn.append(torch.zeros(shape, dtype=torch.float64, requires_grad=True))
            return drawn[-1]

        known = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
        denoise = self.pixel_time if method == "pixel-time" else self.plain
        hole = self.hole.expand(count, -1, -1, -1)
        before = self.calls
        out = sample_inpainting(
            denoise, known, hole, method, schedule=self.schedule, noise=noise, **options
        )
        pixels = out.reshape(count, -1)[:, self.h].diagonal()
        rows = torch.autograd.grad(pixels.sum(), [known, *drawn], allow_unused=True)
        responses = [r.reshape(count, -1) for r in rows if r is not None]
        mean_map = responses[0][:, self.k]
        cov = sum((n @ n.T for n in responses[1:]), torch.zeros(count, count))
        return Error(self.w2(mean_map, cov), self.ratio(cov), self.calls - before)

    def ratio(self, cov: Tensor) -> float:
        """Total variance over the posterior's."""
        return float(cov.trace() / self.posterior.trace())

    def w2(self, mean_map: Tensor, cov: Tensor) -> float:
        """Wasserstein-2 to the posterior over its deviation, root mean square over the knowns."""
        wrong = mean_map - self.gain
        mean = (wrong @ self.cov_k @ wrong.T).trace()
        root = symmetric_root(self.posterior)
        bures = (cov + self.posterior - 2 * symmetric_root(root @ cov @ root)).trace()
        return float(((mean + bures).clamp(min=0) / self.posterior.trace()).sqrt())
