"""How long an evaluation takes here, measured once, so that a wait can be told before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from napari_histoaug.generation.generator import Generator
from napari_histoaug.generation.inpainting import inpaint

_FEW, _MORE = 2, 5


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
    """Time a short and a longer inpaint of grey tissue; a warm-up goes before them."""
    side = generator.index.patch
    image = np.full((side, side, 3), 200, np.uint8)
    hole = np.zeros((side, side), bool)
    hole[side * 3 // 8 : side * 5 // 8, side * 3 // 8 : side * 5 // 8] = True
    seconds = []
    for steps in (_FEW, _FEW, _MORE):
        start = time.perf_counter()
        inpaint(generator, image, hole, generator.classes[0], steps=steps)
        seconds.append(time.perf_counter() - start)
    _, short, long = seconds
    each = max((long - short) / (_MORE - _FEW), 1e-6)
    return Pace(each, max(short - _FEW * each, 0.0))
