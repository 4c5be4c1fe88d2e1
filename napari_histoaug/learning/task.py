"""What the loop asks of a network that is to be taught."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from napari_histoaug.learning.batches import Batch, Examples


@dataclass
class StepLoss:
    """What one batch says.

    Attributes
    ----------
    total : Tensor, scalar
        What the network's weights descend.
    parts : dict of str to Tensor, scalars
        The terms `total` is made of, and other figures for the log.
    judging : callable, optional
        Called with the task's opponent: that one's own loss on what the network just made.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    judging: Callable[[nn.Module], Tensor] | None = None


class Task(ABC):
    """What is being learnt.

    Attributes
    ----------
    opponent : nn.Module, optional
        A second network, taught against the first with an optimiser of its own.
    opponent_rate : float
        Its learning rate.
    memory : dict of str to Tensor
        What the task itself counts; saved, and read back in place.
    """

    opponent: nn.Module | None = None
    opponent_rate: float = 0.0

    def __init__(self) -> None:
        self.memory: dict[str, Tensor] = {}

    @abstractmethod
    def batch(self, examples: Examples) -> Batch:
        """Make a batch on the CPU; pure, and called in another thread."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        """Loss of a batch."""

    @abstractmethod
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Named held-out figures."""

    def after_step(self, model: nn.Module, step: int) -> dict[str, float]:
        """Do to the network itself what a step calls for; returns figures to log."""
        return {}

    def samples(self, model: nn.Module) -> npt.NDArray[np.uint8] | None:
        """Draw a grid of pictures, uint8 (H, W, 3), always of the same examples."""
        return None
