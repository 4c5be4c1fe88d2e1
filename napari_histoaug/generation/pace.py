"""How long an evaluation takes here, measured once, so that a wait can be told before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from napari_histoaug.generation.generator import BACKGROUND, Generator
from napari_histoaug.generation.inpainting import inpaint

_FEW, _MORE = 2, 6


@dataclass(frozen=True)
class Pace:
    """The seconds of an inpaint whose hole fits into one training patch.

    Attributes
    ----------
    evaluation : float
        Of each network evaluation of a hole that is to hold a class.
    plain : float
        Of each evaluation of a hole that is to hold none: guidance asks nothing there.
    around : float
        Of everything else: encoding, decoding, joining.
    """

    evaluation: float
    plain: float
    around: float

    def seconds(self, evaluations: int, *, plain: bool = False) -> float:
        """Of a whole inpaint; `plain` when the hole is to hold no class."""
        return self.around + evaluations * (self.plain if plain else self.evaluation)


def measure_pace(generator: Generator) -> Pace:
    """Time the evaluations of short inpaints of grey tissue; a warm-up goes before them.

    The median of them: one that waited for another program must not decide, nor make the rest of
    the run look as if it took all the time.
    """
    _ticks(generator, generator.classes[0], _FEW)
    start = time.perf_counter()
    ticks = _ticks(generator, generator.classes[0], _MORE)
    whole = time.perf_counter() - start
    each = plain = float(np.median(np.diff(ticks)))
    if generator.index.sampling.guidance != 1:
        plain = float(np.median(np.diff(_ticks(generator, BACKGROUND[0], _MORE))))
    return Pace(each, plain, max(whole - len(ticks) * each, 0.0))


def _ticks(generator: Generator, label: str, steps: int) -> list[float]:
    """When each evaluation of an inpaint was done, seconds."""
    side = generator.index.patch
    image = np.full((side, side, 3), 200, np.uint8)
    hole = np.zeros((side, side), bool)
    hole[side * 3 // 8 : side * 5 // 8, side * 3 // 8 : side * 5 // 8] = True
    ticks: list[float] = []

    def tick(done: int, total: int) -> None:
        ticks.append(time.perf_counter())

    inpaint(generator, image, hole, label, steps=steps, progress=tick)
    return ticks
