"""How long an evaluation takes here, measured once, so that a wait can be told before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from napari_histoaug.generation.generator import Generator
from napari_histoaug.generation.inpainting import inpaint

_FEW, _MORE = 2, 6


@dataclass(frozen=True)
class Pace:
    """The seconds of an inpaint whose hole fits into one training patch.

    Attributes
    ----------
    evaluation : float
        Of each network evaluation.
    around : float
        Of everything else: encoding, decoding, joining.
    """

    evaluation: float
    around: float

    def seconds(self, evaluations: int) -> float:
        """Of a whole inpaint."""
        return self.around + evaluations * self.evaluation


def measure_pace(generator: Generator) -> Pace:
    """Time the evaluations of a short inpaint of grey tissue; a warm-up goes before it.

    The median of them: one that waited for another program must not decide, nor make the rest of
    the run look as if it took all the time.
    """
    side = generator.index.patch
    image = np.full((side, side, 3), 200, np.uint8)
    hole = np.zeros((side, side), bool)
    hole[side * 3 // 8 : side * 5 // 8, side * 3 // 8 : side * 5 // 8] = True
    ticks: list[float] = []

    def tick(done: int, total: int) -> None:
        ticks.append(time.perf_counter())

    for steps in (_FEW, _MORE):
        ticks.clear()
        start = time.perf_counter()
        inpaint(generator, image, hole, generator.classes[0], steps=steps, progress=tick)
        whole = time.perf_counter() - start
    each = float(np.median(np.diff(ticks)))
    return Pace(each, max(whole - len(ticks) * each, 0.0))
