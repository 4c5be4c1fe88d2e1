"""Intermediate images while sampling, as often as their cost allows."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import Tensor

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Preview = Callable[[Image], None]

PREVIEW_SHARE = 0.15  # of the time may go into previews


class Previews:
    """Shows intermediate images, as often as their cost allows."""

    def __init__(
        self,
        show: Preview | None,
        every: int,
        in_place: Callable[[Tensor], tuple[Image, Bool]],
    ) -> None:
        self.show, self.every, self.in_place = show, every, in_place
        self.last, self.next_time = 0, 0.0

    @property
    def wanted(self) -> bool:
        return self.show is not None

    def __call__(self, done: int, total: int, x0: Tensor) -> None:
        started = time.perf_counter()
        if (
            self.show is None
            or done - self.last < self.every
            or done == total
            or started < self.next_time
        ):
            return
        self.show(self.in_place(x0)[0])
        ended = time.perf_counter()
        self.last, self.next_time = done, ended + (ended - started) * (1 / PREVIEW_SHARE - 1)
