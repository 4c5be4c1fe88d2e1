"""What the training scripts do, callable from them and from an installed wheel."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from pydantic import BaseModel
from torch import nn

from napari_histoaug.learning.autoencoder import AutoencoderTask, new_autoencoder
from napari_histoaug.learning.command_line import exit_code, new_parser, say
from napari_histoaug.learning.config import (
    AutoencoderTraining,
    DiffusionTraining,
    LoopConfig,
    load_config,
)
from napari_histoaug.learning.diffusion import DiffusionTask, new_unet
from napari_histoaug.learning.loop import Run, never, new_accelerator
from napari_histoaug.learning.report import RunFacts, write_report
from napari_histoaug.learning.saving import told_when_full
from napari_histoaug.learning.sources import latents, pixels, settled
from napari_histoaug.learning.tissue import Tissue
from napari_histoaug.models import (
    LatentSpace,
    LatentStatistics,
    SpadeUNet,
    load_autoencoder,
    load_unet,
    save_network,
)
from napari_histoaug.models.autoencoders import Autoencoder
from napari_histoaug.models.folder import GeneratorIndex, save_generator

Config = TypeVar("Config", bound=BaseModel)


class Stop:
    """Ctrl-C and a polite kill: the first finishes the step and saves, the second stops at once."""

    def __init__(self) -> None:
        self.asked = False
        # Given explicitly, since a shell that starts us in the background has Ctrl-C ignored.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked


def run_script(
    description: str,
    kind: type[Config],
    train: Callable[[Config, Stop], Path],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse ``--config`` and overrides, train, and report; return the exit code."""
    given = new_parser(description, "loop.batch=8").parse_args(arguments)
    stop = Stop()

    def whole() -> int:
        written = train(load_config(kind, given.config, given.overrides), stop)
        if PartialState().is_main_process:
            say(f"written: {written}")
        return 0

    return exit_code(
        whole, "Stopped; the last checkpoint is complete, and the same command goes on from it."
    )


def train_diffusion(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/train_diffusion.py``."""
    return run_script("Train the diffusion U-Net.", DiffusionTraining, fit_diffusion, arguments)


def train_autoencoder(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/train_autoencoder.py``."""
    return run_script("Train an autoencoder.", AutoencoderTraining, fit_autoencoder, arguments)


def fit_diffusion(config: DiffusionTraining, stop: Callable[[], bool] = never) -> Path:
    """Train the U-Net and write the generator folder; returns that folder."""
    announce(config.loop)
    config = settled(config)
    autoencoder = load_autoencoder(config.autoencoder) if config.autoencoder else None
    train, held_out, statistics = diffusion_tissue(config, autoencoder, stop)
    model = load_unet(config.start) if config.start else new_unet(config, train)
    for tissue in (train, held_out):
        tissue.check(config.data.crop, tissue.factor * model.stride, len(config.data.classes))
    space = LatentSpace(autoencoder, statistics) if autoencoder and statistics else None
    task = DiffusionTask(config, train, held_out, space)
    run = Run(model, task, config.loop)
    folder = config.loop.out / "generator"
    index = GeneratorIndex(
        name=config.name or config.loop.out.name,
        classes=config.data.classes,
        data_sets=tuple(config.data.data_sets),
        mpp=(config.data.mpp, config.data.mpp),
        patch=config.data.crop,
        sampling=config.sampling,
        attribution=config.attribution,
        latents=statistics,
    )

    def export(network: nn.Module) -> None:
        assert isinstance(network, SpadeUNet)
        save_generator(folder, index, network, autoencoder)

    complete(run, config, train, held_out, export, stop)
    return folder


def fit_autoencoder(config: AutoencoderTraining, stop: Callable[[], bool] = never) -> Path:
    """Train an autoencoder and write its averaged weights; returns their folder."""
    announce(config.loop)
    config = settled(config)
    train, held_out = pixels(config.data)
    model = new_autoencoder(config)
    for tissue in (train, held_out):
        tissue.check(config.data.crop, model.factor, len(config.data.classes))
    run = Run(model, AutoencoderTask(config, model, train, held_out), config.loop)
    folder = config.loop.out / "autoencoder"
    complete(run, config, train, held_out, lambda network: save_network(network, folder), stop)
    return folder


def announce(config: LoopConfig) -> None:
    """Say where a run writes, and prepare this process for it."""
    new_accelerator(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if PartialState().is_main_process:
        say(f"writing to {config.out}")


def complete(
    run: Run,
    config: BaseModel,
    train: Tissue,
    held_out: Tissue,
    export: Callable[[nn.Module], None],
    stop: Callable[[], bool],
    enough: Callable[[], bool] = never,
) -> None:
    """Train to the end, then write the averaged network and the report.

    Parameters
    ----------
    export : callable
        Writes the network.
    stop : callable
        Asked after every step; True saves and leaves.
    enough : callable
        Asked after every step; True means that the end is reached before the last step.

    Raises
    ------
    KeyboardInterrupt
        When `stop` asked for it; the checkpoint is written.
    """
    if not run.agreed(enough()):
        ended = run.fit(say if run.leads else silent, lambda: stop() or enough())
        if not ended and not run.agreed(enough()):
            raise KeyboardInterrupt
    if run.leads:
        with told_when_full(run.config.out):
            run.with_average(export)
            facts = RunFacts(
                step=run.progress.step,
                seconds=run.progress.seconds,
                devices=run.accelerator.num_processes,
                device=run.accelerator.device.type,
                tissue=train.facts.digest,
                held_out=held_out.facts.digest,
            )
            write_report(run.config.out, config, facts)
    run.accelerator.wait_for_everyone()


def silent(line: str) -> None:
    """Leave the talking to another process."""


def diffusion_tissue(
    config: DiffusionTraining, autoencoder: Autoencoder | None, stop: Callable[[], bool] = never
) -> tuple[Tissue, Tissue, LatentStatistics | None]:
    """Load training and held-out tissue, encoding it first where latents are wanted."""
    if autoencoder is None:
        return *pixels(config.data), None

    def encoded(done: int, total: int) -> None:
        if stop():
            raise KeyboardInterrupt
        if PartialState().is_main_process and (done % 10 == 0 or done == total):
            say(f"encoded {done}/{total} files")

    return latents(config, autoencoder, encoded)
