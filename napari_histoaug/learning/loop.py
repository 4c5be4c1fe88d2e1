"""One training loop for every network, on accelerate: alone, on several GPUs, on several machines.

Every batch is a pure function of (seed, step), and so is the chance inside the networks: a resumed
run ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from napari_histoaug.learning.average import Average
from napari_histoaug.learning.batches import Batch, Examples, Loader
from napari_histoaug.learning.config import ConfigError, LoopConfig
from napari_histoaug.learning.journal import Journal, Pace
from napari_histoaug.learning.learner import Learner, load_checked
from napari_histoaug.learning.processes import keep_freed_memory, on_cpu
from napari_histoaug.learning.saving import (
    TrainingError,
    checkpoints,
    sweep,
    told_when_full,
    write_checkpoint,
)
from napari_histoaug.learning.task import StepLoss, Task
from napari_histoaug.models.checkpoints import read_json, save_tensors, write_json

OPPONENT_BETAS = (0.5, 0.9)  # an opponent's past is soon out of date
REPORT_EVERY = 10


@dataclass
class Progress:
    """Where a run stands; kept in ``state.json`` of every checkpoint."""

    step: int = 0
    seconds: float = 0.0


def never() -> bool:
    """Nobody asks to stop."""
    return False


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
        self.accelerator = new_accelerator(config)
        if self.accelerator.device.type == "cpu":
            keep_freed_memory()
        self.learner = Learner(model, config.learning_rate, self.accelerator)
        self.opponent = (
            None
            if task.opponent is None
            else Learner(task.opponent, task.opponent_rate, self.accelerator, OPPONENT_BETAS)
        )
        self.forward = self.learner.network
        if config.compile != "no":
            self.forward = torch.compile(self.forward, backend=config.compile)
        self.average = Average(self.bare, config.ema)
        self.progress, self.pace = Progress(), Pace()
        self.journal: Journal | None = None
        with told_when_full(config.out):
            config.out.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def bare(self) -> nn.Module:
        """The network itself, without what accelerate wrapped around it."""
        return self.learner.bare

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    def fit(self, say: Callable[[str], None], stop: Callable[[], bool] = never) -> bool:
        """Train to the configured end; saves on the way and at the end.

        Parameters
        ----------
        say : callable
            Called with lines to read.
        stop : callable
            Asked after every step; True saves and ends.

        Returns
        -------
        bool
            Whether the end was reached; False when `stop` asked.

        Raises
        ------
        TrainingError
            When the loss is no longer a number, or nothing can be written; the last checkpoint is
            kept.
        """
        if self._finished():
            return True
        self.loader = Loader(self._make, self.config.ahead)
        try:
            with told_when_full(self.config.out), self._journal():
                stopped = self._steps(say, stop)
                self.save()
                if not stopped:
                    self._validate(say)
                    self._sample()
        finally:
            self.loader.close()
        return not stopped

    @contextmanager
    def _journal(self) -> Iterator[None]:
        """Keep the journal open, on the process that writes it; closing it writes as well."""
        try:
            if self.leads:
                self.journal = Journal(self.config.out, self.progress.step)
            yield
        finally:
            if self.journal is not None:
                self.journal.close()
            self.journal = None

    def _steps(self, say: Callable[[str], None], stop: Callable[[], bool]) -> bool:
        """Take steps until the end, or until asked to stop; returns whether asked."""
        c, saved = self.config, time.monotonic()
        stopped = False
        while not stopped and not self._finished():
            started, waited = time.monotonic(), self.loader.waited
            loss = self._step()
            seconds = time.monotonic() - started
            self.progress.step += 1
            self.progress.seconds += seconds
            self.pace.add(seconds, self.loader.waited - waited)
            if self.progress.step % REPORT_EVERY == 0:
                self._report(loss, say)
            if self.progress.step % c.validate_every == 0:
                self._validate(say)
            if c.sample_every and self.progress.step % c.sample_every == 0:
                self._sample()
            if time.monotonic() - saved > 60 * c.save_minutes:
                self.save()
                saved = time.monotonic()
            stopped = self.agreed(stop())
        return stopped

    def _finished(self) -> bool:
        minutes = self.config.minutes
        out_of_time = minutes is not None and self.progress.seconds >= 60 * minutes
        return self.progress.step >= self.config.steps or self.agreed(out_of_time)

    def agreed(self, wish: bool) -> bool:
        """Whether any process wishes it: their clocks and signals differ, their steps must not."""
        if self.accelerator.num_processes == 1:
            return wish
        wishes = torch.tensor(float(wish), device=self.accelerator.device)
        return bool(self.accelerator.reduce(wishes, "sum") > 0)

    def _make(self, number: int) -> Batch:
        """Make this process's batch `number`, counted over steps and accumulated parts."""
        c, processes = self.config, self.accelerator.num_processes
        step, part = divmod(number, c.accumulate)
        first = (part * processes + self.accelerator.process_index) * c.batch
        return self.task.batch(
            Examples(c.seed, step, c.accumulate * processes * c.batch, first, c.batch)
        )

    def _step(self) -> StepLoss:
        step, c = self.progress.step, self.config
        self.bare.train()
        total = 0.0
        for part in range(c.accumulate):
            batch = self.loader.take(step * c.accumulate + part)
            batch = {name: each.to(self.accelerator.device) for name, each in batch.items()}
            # The chance inside a network (dropout, noise) shall depend on the step only, too.
            torch.manual_seed(self._chance(step, part))
            loss = self._collect(batch, step, part == c.accumulate - 1)
            total += float(loss.total) / c.accumulate
        share = min(1.0, (step + 1) / max(c.warmup, 1)) * c.decay_to ** (step / c.steps)
        norm = self.learner.step(share)
        if not math.isfinite(norm):
            self._give_up("The gradient", batch, step)
        if self.opponent is not None and loss.judging is not None:
            self.opponent.step(1.0)
        self.average.update(self.bare, step)
        figures = self.task.after_step(self.bare, step)
        loss.parts.update({name: torch.tensor(value) for name, value in figures.items()})
        loss.total = torch.tensor(total)
        return loss

    def _chance(self, step: int, part: int) -> int:
        where = [self.config.seed, step, part, self.accelerator.process_index]
        return int(np.random.SeedSequence(where).generate_state(1)[0])

    def _collect(self, batch: Batch, step: int, last: bool) -> StepLoss:
        """Add the gradients of one batch, the opponent's included."""
        c, accelerator = self.config, self.accelerator
        alone = nullcontext() if last else accelerator.no_sync(self.learner.network)
        if self.opponent is not None:
            self.opponent.bare.requires_grad_(False)
        with alone:
            with accelerator.autocast():
                loss = self.task.loss(self.forward, batch, step)
            value = accelerator.reduce(loss.total.detach(), "mean")
            if not math.isfinite(float(value)):
                self._give_up("The loss", batch, step)
            self.learner.collect(loss.total / c.accumulate)
        loss.total = value
        if self.opponent is not None and loss.judging is not None:
            self.opponent.bare.requires_grad_(True)
            alone = nullcontext() if last else accelerator.no_sync(self.opponent.network)
            with alone:
                with accelerator.autocast():
                    own = loss.judging(self.opponent.network)
                loss.parts["discriminator"] = own.detach()
                self.opponent.collect(own / c.accumulate)
        return loss

    def _give_up(self, what: str, batch: Batch, step: int) -> None:
        """Save the batch and the weights that met it, and stop.

        No checkpoint is written: from these weights the same batch would be met again.
        """
        folder = self.config.out / f"lost-{step:08d}"
        folder.mkdir(exist_ok=True)
        save_tensors(batch, folder / f"batch-{self.accelerator.process_index}.safetensors")
        if self.leads:
            save_tensors(self.bare.state_dict(), folder / "model.safetensors")
        kept = checkpoints(self.config.out)
        start = f"goes on from {kept[-1].name}" if kept else "starts anew"
        raise TrainingError(
            f"{what} is not a number at step {step}; the batch is kept in {folder}. Lower "
            f"loop.learning_rate and run again, which {start}."
        )

    def _report(self, loss: StepLoss, say: Callable[[str], None]) -> None:
        p, c, pace = self.progress, self.config, self.pace.seconds
        parts = {name: float(part.detach()) for name, part in loss.parts.items()}
        total = float(loss.total)
        if self.journal is None:
            return
        left = pace * (c.steps - p.step)
        if c.minutes is not None:
            left = min(left, 60 * c.minutes - p.seconds)
        examples = c.batch * c.accumulate * self.accelerator.num_processes / pace
        say(
            f"step {p.step}/{c.steps}, loss {total:.4f}, {pace:.2f} s a step, {examples:.3g} "
            f"examples a second, {self.pace.waiting:.1%} waiting for data, {left / 60:.0f} min left"
        )
        speed = {"examples_per_second": examples, "data_wait": self.pace.waiting}
        self.journal.write(p.step, p.seconds, {"loss": total, **parts, **speed})

    def _validate(self, say: Callable[[str], None]) -> None:
        if self.journal is None:
            return
        held_out = self.with_average(self.task.validate)
        say("  held out: " + ", ".join(f"{k} {v:.4f}" for k, v in held_out.items()))
        self.journal.write(self.progress.step, self.progress.seconds, held_out)

    def _sample(self) -> None:
        if self.journal is None or not self.config.sample_every:
            return
        grid = self.with_average(self.task.samples)
        if grid is not None:
            self.journal.picture(self.progress.step, grid)

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
        """Write a checkpoint, complete or not at all; see :func:`write_checkpoint`."""
        if self.leads and self.progress.step > 0:
            write_checkpoint(self.config.out, self.progress.step, self._write)

    def _write(self, folder: Path) -> None:
        self.learner.save(folder, "model")
        if self.opponent is not None:
            self.opponent.save(folder, "opponent")
        save_tensors(self.average.weights, folder / "average.safetensors")
        if self.task.memory:
            save_tensors(self.task.memory, folder / "memory.safetensors")
        scaler = self.accelerator.scaler
        scale = {} if scaler is None else {"scaler": scaler.state_dict()}
        write_json(folder / "state.json", {**vars(self.progress), **scale})

    def _resume(self) -> None:
        if self.leads:
            sweep(self.config.out)
        found = checkpoints(self.config.out)
        if not found:
            return
        folder = found[-1]
        self.learner.load(folder, "model")
        if self.opponent is not None and (folder / "opponent.safetensors").exists():
            self.opponent.load(folder, "opponent")
        averages = load_checked(self.average.weights, folder / "average.safetensors")
        self.average.load(averages)
        if self.task.memory and (folder / "memory.safetensors").exists():
            remembered = load_checked(self.task.memory, folder / "memory.safetensors")
            for name, tensor in remembered.items():
                self.task.memory[name].copy_(tensor)
        state = read_json(folder / "state.json")
        scale = state.pop("scaler", None)
        if scale is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scale)
        self.progress = Progress(**state)


def new_accelerator(config: LoopConfig) -> Accelerator:
    """Make the accelerator of a run.

    Raises
    ------
    ConfigError
        When this machine cannot compute in the wanted precision.
    """
    try:
        return Accelerator(mixed_precision=config.precision, cpu=on_cpu())
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"loop.precision={config.precision} does not work on this machine ({error}); "
            "use no or bf16."
        ) from None
