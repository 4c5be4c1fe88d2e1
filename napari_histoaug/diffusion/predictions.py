"""Noise, image and velocity: three ways to say what a network predicts, and the moves between them.

``alpha_bar`` is a number, a (B,) tensor of one level per image, or any tensor that broadcasts
against the images (a level per pixel). All functions are pure; the result has the dtype of ``x``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Level = float | Tensor


def _roots(alpha_bar: Level, like: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """sqrt(alpha_bar) and sqrt(1 - alpha_bar), computed before rounding to the images' dtype."""
    if not isinstance(alpha_bar, Tensor):
        return math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    if alpha_bar.ndim == 1:
        alpha_bar = alpha_bar.reshape(-1, *[1] * (like.ndim - 1))
    signal, noise = torch.sqrt(alpha_bar), torch.sqrt(1.0 - alpha_bar)
    return signal.to(like), noise.to(like)


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Level) -> Tensor:
    """A draw of q(x_t | x_0): ``sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise``."""
    a, s = _roots(alpha_bar, x0)
    return a * x0 + s * noise


def x0_from_noise(x: Tensor, noise: Tensor, alpha_bar: Level) -> Tensor:
    """The clean image that ``x`` and its ``noise`` imply."""
    a, s = _roots(alpha_bar, x)
    return (x - s * noise) / a


def noise_from_x0(x: Tensor, x0: Tensor, alpha_bar: Level) -> Tensor:
    """The noise that ``x`` and its clean image imply (``alpha_bar`` < 1)."""
    a, s = _roots(alpha_bar, x)
    return (x - a * x0) / s


def velocity(x0: Tensor, noise: Tensor, alpha_bar: Level) -> Tensor:
    """The v target, ``sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0`` (Salimans and Ho 2022)."""
    a, s = _roots(alpha_bar, x0)
    return a * noise - s * x0


def x0_from_velocity(x: Tensor, v: Tensor, alpha_bar: Level) -> Tensor:
    """The clean image that ``x`` and a predicted velocity imply."""
    a, s = _roots(alpha_bar, x)
    return a * x - s * v


def noise_from_velocity(x: Tensor, v: Tensor, alpha_bar: Level) -> Tensor:
    """The noise that ``x`` and a predicted velocity imply."""
    a, s = _roots(alpha_bar, x)
    return a * v + s * x


def guided(said: Tensor, silent: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``silent + scale (said - silent)`` (Ho and Salimans 2022).

    ``said`` and ``silent`` are one network's predictions with the label and with the null label, as
    noise, image or velocity: the three are affine in each other, so guiding one guides all. Scale 1
    is ``said`` to the bit, 0 is ``silent``.
    """
    if scale == 1.0:
        return said
    return silent + scale * (said - silent)
