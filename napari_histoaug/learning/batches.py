"""Which examples a batch holds, and making batches ahead of the network.

Every example is a pure function of (seed, step, index). So a resumed run sees what an uninterrupted
one would have seen, and N processes with batches of B see what one process with N x B sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Examples:
    """A slice of the examples of one step.

    Attributes
    ----------
    seed, step : int
        Of the run.
    total : int
        Examples of the whole step, over all processes and accumulated batches.
    first, count : int
        The slice.
    held_out : bool
        Examples to check with, drawn apart from those to learn from.
    """

    seed: int
    step: int
    total: int
    first: int
    count: int
    held_out: bool = False

    def generators(self) -> list[np.random.Generator]:
        """Return the source of chance of each example of the slice."""
        which = range(self.first, self.first + self.count)
        return [np.random.default_rng([self.seed, self.held_out, self.step, i]) for i in which]

    def strata(self) -> npt.NDArray[np.int64]:
        """Give each example of the slice its stratum, 0 to `total` - 1, shuffled by the step."""
        shared = np.random.default_rng([self.seed, self.held_out, self.step])
        return shared.permutation(self.total)[self.first : self.first + self.count]


class Loader:
    """Makes batches in a thread, a few ahead of the network.

    Parameters
    ----------
    make : callable
        Makes the batch of a number; pure.
    ahead : int
        How many batches wait ready.

    Attributes
    ----------
    waited : float
        Seconds the caller of :meth:`take` has waited so far.
    """

    def __init__(self, make: Callable[[int], Batch], ahead: int) -> None:
        self.make, self.ahead, self.waited = make, ahead, 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._made: dict[int, Future[Batch]] = {}

    def take(self, number: int) -> Batch:
        """Return batch `number`, and begin those after it."""
        for wanted in range(number, number + 1 + self.ahead):
            if wanted not in self._made:
                self._made[wanted] = self._pool.submit(self.make, wanted)
        started = time.monotonic()
        batch = self._made.pop(number).result()
        self.waited += time.monotonic() - started
        return batch

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(cancel_futures=True)
