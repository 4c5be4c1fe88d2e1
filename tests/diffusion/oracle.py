"""A world small enough to be exact: Gaussian images whose denoiser is known in closed form.

Images are N(0, S), S = 0.3 exp(-distance / 4) + 0.02 I on a 12 x 12 grid; the hole is the 6 x 6
middle unless another is given. Every sampler is then affine in the known pixels and in each noise
tensor it draws, so its output distribution follows exactly from the derivatives: one run, one
backward pass, no sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_histoaug.diffusion import Schedule, linear_schedule, sample_inpainting

SIDE = 12
Noise = Callable[[tuple[int, ...]], Tensor]
Run = Callable[[Tensor, Tensor, Noise], Tensor]
"""``run(known, hole, noise) -> images``, on a batch of one image a hole pixel."""


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive square root of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def covariance(height: int, width: int, length: float) -> Tensor:
    """S of the images, pixels in row-major order."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([y.flatten(), x.flatten()], 1).double()
    cov = 0.3 * torch.exp(-torch.cdist(points, points) / length)
    return cov + 0.02 * torch.eye(len(points), dtype=torch.float64)


def shrinkage(cov: Tensor, alpha_bar: float) -> Tensor:
    """The gain G of ``E[x0 | x] = x G`` for N(0, cov) images at a level, x a row."""
    eye = torch.eye(len(cov), dtype=torch.float64)
    return math.sqrt(alpha_bar) * torch.linalg.solve(alpha_bar * cov + (1 - alpha_bar) * eye, cov)


def square(side: int) -> Tensor:
    """A hole in the middle, bool (SIDE, SIDE)."""
    hole = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    low = (SIDE - side) // 2
    hole[low : low + side, low : low + side] = True
    return hole


@dataclass
class Error:
    """How far a sampler's hole is from the exact posterior."""

    w2: float
    variance_ratio: float
    evaluations: int


class GaussianWorld:
    """Covariance, hole and the two ideal denoisers."""

    def __init__(
        self,
        length: float = 4.0,
        hole_side: int = 6,
        schedule: Schedule | None = None,
        hole: Tensor | None = None,
    ):
        self.schedule = schedule or linear_schedule()
        self.cov = covariance(SIDE, SIDE, length)
        mask = square(hole_side) if hole is None else hole
        self.hole = mask[None, None]
        self.h, self.k = mask.flatten(), ~mask.flatten()
        self.cov_k = self.cov[self.k][:, self.k]
        self.gain = torch.linalg.solve(self.cov_k, self.cov[self.k][:, self.h]).T
        self.posterior = self.cov[self.h][:, self.h] - self.gain @ self.cov[self.k][:, self.h]
        self.calls = 0
        self._gains: dict[tuple[str, int], Tensor] = {}

    def _gain(self, kind: str, timestep: int) -> Tensor:
        """`shrinkage` of the whole image or of the hole given the rest, kept."""
        if (kind, timestep) not in self._gains:
            cov = self.cov if kind == "plain" else self.posterior
            self._gains[kind, timestep] = shrinkage(cov, self.schedule.alpha_bar_at(timestep))
        return self._gains[kind, timestep]

    def plain(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """E[noise | x at level t], the whole image noisy."""
        assert bool(hole.all())
        self.calls += 1
        a = self.schedule.alpha_bar_at(int(t[0]))
        flat = x.reshape(len(x), -1)
        clean = flat @ self._gain("plain", int(t[0]))
        return ((flat - math.sqrt(a) * clean) / math.sqrt(1 - a)).reshape(x.shape)

    def pixel_time(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """E[noise of the hole | hole at level t, the rest clean]; 0 outside."""
        if bool(hole.all()):
            return self.plain(x, t, hole)
        assert bool((hole == self.hole).all())
        self.calls += 1
        a = self.schedule.alpha_bar_at(int(t[0]))
        flat = x.reshape(len(x), -1)
        prior = flat[:, self.k] @ self.gain.T
        clean = prior + (flat[:, self.h] - math.sqrt(a) * prior) @ self._gain("hole", int(t[0]))
        noise = torch.zeros_like(flat)
        noise[:, self.h] = (flat[:, self.h] - math.sqrt(a) * clean) / math.sqrt(1 - a)
        return noise.reshape(x.shape)

    def denoiser(self, method: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The ideal network of a method."""
        return self.pixel_time if method == "pixel-time" else self.plain

    def measure(self, method: str, **options: Any) -> Error:
        """Run one of our samplers from pure noise; see `measure_run`."""

        def run(known: Tensor, hole: Tensor, noise: Noise) -> Tensor:
            return sample_inpainting(
                self.denoiser(method),
                known,
                hole,
                method,
                schedule=self.schedule,
                noise=noise,
                **options,
            )

        return self.measure_run(run)

    def measure_run(self, run: Run) -> Error:
        """Run any sampler once and compare its hole with the posterior."""
        before = self.calls
        mean_map, cov = self.moments(run)
        return Error(self.w2(mean_map, cov), self.ratio(cov), self.calls - before)

    def moments(self, run: Run) -> tuple[Tensor, Tensor]:
        """Map of the known pixels to the hole's mean, and the hole's covariance given them.

        Image j of the one batch asks for the derivatives of hole pixel j. The share of a noise
        tensor in the covariance is taken as soon as its derivative is there, then dropped.
        """
        count = int(self.h.sum())
        cov = torch.zeros(count, count, dtype=torch.float64)

        def take(leaf: Tensor) -> None:
            rows = leaf.grad.reshape(count, -1)
            cov.add_(rows @ rows.T)
            leaf.grad = None

        def noise(shape: tuple[int, ...]) -> Tensor:
            leaf = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
            leaf.register_post_accumulate_grad_hook(take)
            return leaf

        known = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
        out = run(known, self.hole.expand(count, -1, -1, -1), noise)
        out.reshape(count, -1)[:, self.h].diagonal().sum().backward()
        return known.grad.reshape(count, -1)[:, self.k], cov

    def draw_posterior(self, known: Tensor, noise: Noise) -> Tensor:
        """An exact answer: the hole drawn from its posterior, the rest as known."""
        flat = known.reshape(len(known), -1)
        fresh = noise(tuple(known.shape)).reshape(len(known), -1)[:, self.h]
        drawn = torch.zeros_like(flat)
        drawn[:, self.h] = flat[:, self.k] @ self.gain.T + fresh @ symmetric_root(self.posterior)
        drawn[:, self.k] = flat[:, self.k]
        return drawn.reshape(known.shape)

    def ratio(self, cov: Tensor) -> float:
        """Total variance over the posterior's."""
        return float(cov.trace() / self.posterior.trace())

    def w2(self, mean_map: Tensor, cov: Tensor) -> float:
        """Wasserstein-2 to the posterior over its deviation, root mean square over the knowns."""
        return self.distance(mean_map, cov, self.gain, self.posterior)

    def distance(self, mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
        """`w2` between any two answers, each a map of the known pixels and a covariance."""
        wrong = mean_a - mean_b
        mean = (wrong @ self.cov_k @ wrong.T).trace()
        root = symmetric_root(cov_b)
        bures = (cov_a + cov_b - 2 * symmetric_root(root @ cov_a @ root)).trace()
        return float(((mean + bures).clamp(min=0) / self.posterior.trace()).sqrt())
