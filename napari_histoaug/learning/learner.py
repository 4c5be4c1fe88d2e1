"""A network with its optimiser: careful steps, and a state that is saved and read back whole."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from napari_histoaug.learning.saving import TrainingError
from napari_histoaug.models.checkpoints import ModelError, load_tensors, save_tensors

CLIP = 1.0  # largest norm of a gradient


class Learner:
    """A network taught by Adam.

    Parameters
    ----------
    network : nn.Module
        Taught in place; parameters that need no gradient stay as they are.
    rate : float
        Learning rate, before warm-up and decay.
    accelerator : Accelerator
        Moves the network to its device and spreads it over processes.
    betas : (float, float)
        Of Adam.
    """

    def __init__(
        self,
        network: nn.Module,
        rate: float,
        accelerator: Accelerator,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.bare, self.rate, self.accelerator = network, rate, accelerator
        taught = [p for p in network.parameters() if p.requires_grad]
        adam = torch.optim.Adam(taught, lr=rate, betas=betas, fused=True)
        self.network, self.optimizer = accelerator.prepare(network, adam)

    def collect(self, loss: Tensor) -> None:
        """Add the gradient of `loss` to those collected since the last step."""
        self.accelerator.backward(loss)

    def step(self, share: float) -> float:
        """Step down the collected gradients at `share` of the rate; returns their norm.

        A norm that is not a number changes nothing: the weights stay good.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * share
        self.accelerator.unscale_gradients(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), CLIP))
        scaled = self.accelerator.scaler is not None  # which skips such steps, and needs to know
        if scaled or math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return 0.0 if scaled else norm

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.safetensors`` and ``<name>-optimizer.safetensors`` into `folder`."""
        save_tensors(self.bare.state_dict(), folder / f"{name}.safetensors")
        state = self.optimizer.state_dict()["state"]
        moments = {f"{i}.{key}": part for i, of in state.items() for key, part in of.items()}
        save_tensors(moments, folder / f"{name}-optimizer.safetensors")

    def load(self, folder: Path, name: str) -> None:
        """Read what :meth:`save` wrote.

        Raises
        ------
        TrainingError
            When a file is damaged or belongs to a network of another shape.
        """
        weights = load_checked(self.bare.state_dict(), folder / f"{name}.safetensors")
        self.bare.load_state_dict(weights)
        taught = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for label, tensor in load_moments(folder / f"{name}-optimizer.safetensors").items():
            index, _, key = label.partition(".")
            # The memory layout decides the order of sums, so it has to come back as well.
            like = taught[int(index)]
            fits = tensor.shape == like.shape
            state.setdefault(int(index), {})[key] = (
                torch.empty_like(like).copy_(tensor) if fits else tensor
            )
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def load_moments(path: Path) -> dict[str, Tensor]:
    """Read a file of a checkpoint; see :class:`Learner`."""
    try:
        return load_tensors(path)
    except ModelError:
        raise TrainingError(
            f"The checkpoint {path.parent} is damaged at {path.name}; delete that folder and run "
            "the same command again, which goes on from the one before it."
        ) from None


def load_checked(expected: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Read weights and compare their names and shapes with `expected`.

    Raises
    ------
    TrainingError
        When the file is damaged or does not fit.
    """
    found = load_moments(path)
    shapes = [{k: v.shape for k, v in each.items()} for each in (expected, found)]
    if shapes[0] != shapes[1]:
        raise TrainingError(
            f"The checkpoint {path.parent} belongs to a network of another shape; choose another "
            "loop.out, or the model settings that it was begun with."
        )
    return found
