"""One training loop for every network, on accelerate.

Every batch is a pure function of (seed, step): a resumed run sees the examples and the noise that
an uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.config import LoopConfig
from napari_histoaug.learning.learner import Learner
from napari_histoaug.models.checkpoints import load_tensors, read_json, save_tensors, write_json

OPPONENT_BETAS = (0.5, 0.9)  # an opponent's past is soon out of date


class TrainingError(HistoaugError):
    """Training that cannot go on, and what was kept."""


@dataclass
class StepLoss:
    """What one batch says.

    Attributes
    ----------
    total : Tensor, scalar
        What the network's weights descend.
    parts : dict of str to Tensor, scalars
        The terms `total` is made of, for the log.
    judging : callable, optional
        Called with the task's opponent: that one's own loss on what the network just made.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    judging: Callable[[nn.Module], Tensor] | None = None


class Task(Protocol):
    """What is being learnt: the loss of a batch, and of fixed held-out batches.

    ``opponent`` is a second network, taught against the first with an optimiser of its own.
    """

    opponent: nn.Module | None
    opponent_rate: float

    def loss(self, model: nn.Module, step: int) -> StepLoss:
        """Loss of the batch that belongs to `step`."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Named held-out figures."""
        ...


@dataclass
class Progress:
    """Where a run stands; kept in ``state.json`` of every checkpoint."""

    step: int = 0
    seconds: float = 0.0


class Average:
    """Exponential moving average of the weights, warmed up as (1 + n) / (10 + n)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


class Run:
    """A training run in a folder: checkpoints, log, resume.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    task : Task
        Its losses.
    config : LoopConfig
        Steps, batch, learning rate, where to write.
    """

    def __init__(self, model: nn.Module, task: Task, config: LoopConfig) -> None:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        self.config, self.task = config, task
        self.accelerator = Accelerator(mixed_precision=config.precision)
        self.learner = Learner(model, config.learning_rate, self.accelerator)
        self.opponent = (
            None
            if task.opponent is None
            else Learner(task.opponent, task.opponent_rate, self.accelerator, OPPONENT_BETAS)
        )
        self.average = Average(self.bare, config.ema)
        self.progress = Progress()
        config.out.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def bare(self) -> nn.Module:
        """The network itself, without what accelerate wrapped around it."""
        return self.learner.bare

    def fit(self, say: Callable[[str], None]) -> None:
        """Train to the configured end; saves on the way, at the end, and on Ctrl-C.

        Raises
        ------
        TrainingError
            When the loss is no longer a number; the last checkpoint is kept.
        """
        started, saved = time.monotonic() - self.progress.seconds, time.monotonic()
        try:
            while not self._finished():
                loss = self._step()
                self.progress.step += 1
                self.progress.seconds = time.monotonic() - started
                if self.progress.step % 10 == 0:
                    self._report(loss, say)
                if self.progress.step % self.config.validate_every == 0:
                    self._validate(say)
                if time.monotonic() - saved > 60 * self.config.save_minutes:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()
        self._validate(say)

    def _finished(self) -> bool:
        minutes = self.config.minutes
        out_of_time = minutes is not None and self.progress.seconds >= 60 * minutes
        return out_of_time or self.progress.step >= self.config.steps

    def _step(self) -> StepLoss:
        step, c = self.progress.step, self.config
        share = min(1.0, (step + 1) / max(c.warmup, 1)) * c.decay_to ** (step / c.steps)
        self.bare.train()
        if self.opponent is not None:
            self.opponent.bare.requires_grad_(False)
        with self.accelerator.autocast():
            loss = self.task.loss(self.learner.network, step)
        if not math.isfinite(float(loss.total.detach())):
            raise TrainingError(
                f"The loss is not a number at step {step}; lower loop.learning_rate and run again "
                f"from the checkpoint in {c.out}."
            )
        self.learner.descend(loss.total, share)
        self._teach_opponent(loss)
        self.average.update(self.bare, step)
        return loss

    def _teach_opponent(self, loss: StepLoss) -> None:
        if self.opponent is None or loss.judging is None:
            return
        self.opponent.bare.requires_grad_(True)
        with self.accelerator.autocast():
            own = loss.judging(self.opponent.network)
        loss.parts["discriminator"] = own
        self.opponent.descend(own, 1.0)

    def _report(self, loss: StepLoss, say: Callable[[str], None]) -> None:
        p, c = self.progress, self.config
        pace = p.seconds / p.step
        left = pace * (c.steps - p.step)
        if c.minutes is not None:
            left = min(left, 60 * c.minutes - p.seconds)
        say(
            f"step {p.step}/{c.steps}, loss {float(loss.total.detach()):.4f}, {pace:.2f} s a step, "
            f"{left / 60:.0f} min left"
        )
        parts = {name: float(part.detach()) for name, part in loss.parts.items()}
        self._log({"loss": float(loss.total.detach()), **parts})

    def _validate(self, say: Callable[[str], None]) -> None:
        held_out = self.with_average(self.task.validate)
        say("  held out: " + ", ".join(f"{k} {v:.4f}" for k, v in held_out.items()))
        self._log(held_out)

    def _log(self, values: dict[str, float]) -> None:
        row = {"step": self.progress.step, "seconds": round(self.progress.seconds, 1), **values}
        with (self.config.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def with_average(self, use: Callable[[nn.Module], Any]) -> Any:
        """Call `use` with the network holding its averaged weights, then put the others back."""
        bare = self.bare
        current = {k: v.detach().clone() for k, v in bare.state_dict().items()}
        bare.load_state_dict(self.average.weights)
        bare.eval()
        try:
            with torch.no_grad(), self.accelerator.autocast():
                return use(bare)
        finally:
            bare.load_state_dict(current)

    def save(self) -> None:
        """Write a checkpoint under a temporary name, rename it, and drop older ones."""
        if not self.accelerator.is_main_process or self.progress.step == 0:
            return
        folder = self.config.out / f"checkpoint-{self.progress.step:08d}"
        temporary = folder.with_name(folder.name + ".part")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        self.learner.save(temporary, "model")
        if self.opponent is not None:
            self.opponent.save(temporary, "opponent")
        save_tensors(self.average.weights, temporary / "average.safetensors")
        write_json(temporary / "state.json", vars(self.progress))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        for old in checkpoints(self.config.out)[:-2]:
            shutil.rmtree(old)

    def _resume(self) -> None:
        found = checkpoints(self.config.out)
        if not found:
            return
        folder = found[-1]
        self.learner.load(folder, "model")
        if self.opponent is not None and (folder / "opponent.safetensors").exists():
            self.opponent.load(folder, "opponent")
        for name, tensor in load_tensors(folder / "average.safetensors").items():
            self.average.weights[name].copy_(tensor)
        self.progress = Progress(**read_json(folder / "state.json"))


def checkpoints(out: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    return sorted(p for p in out.glob("checkpoint-*") if p.suffix != ".part")
