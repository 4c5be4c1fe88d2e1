"""A network with its optimiser: one careful step, and a state that is saved and read back whole."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from napari_histoaug.models.checkpoints import load_tensors, save_tensors

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
        adam = torch.optim.Adam(taught, lr=rate, betas=betas)
        self.network, self.optimizer = accelerator.prepare(network, adam)

    def descend(self, loss: Tensor, share: float) -> None:
        """Take one step down `loss` at `share` of the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * share
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.safetensors`` and ``<name>-optimizer.safetensors`` into `folder`."""
        save_tensors(self.bare.state_dict(), folder / f"{name}.safetensors")
        state = self.optimizer.state_dict()["state"]
        moments = {f"{i}.{key}": part for i, of in state.items() for key, part in of.items()}
        save_tensors(moments, folder / f"{name}-optimizer.safetensors")

    def load(self, folder: Path, name: str) -> None:
        """Read what :meth:`save` wrote."""
        self.bare.load_state_dict(load_tensors(folder / f"{name}.safetensors"))
        taught = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for label, tensor in load_tensors(folder / f"{name}-optimizer.safetensors").items():
            index, _, key = label.partition(".")
            # The memory layout decides the order of sums, so it has to come back as well.
            like = taught[int(index)]
            fits = tensor.shape == like.shape
            state.setdefault(int(index), {})[key] = (
                torch.empty_like(like).copy_(tensor) if fits else tensor
            )
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
