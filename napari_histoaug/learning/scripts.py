"""What the training scripts do, callable from them and from an installed wheel."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel
from torch import nn

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.autoencoder import AutoencoderTask, new_autoencoder
from napari_histoaug.learning.config import (
    AutoencoderTraining,
    DataConfig,
    DiffusionTraining,
    load_config,
)
from napari_histoaug.learning.diffusion import DiffusionTask, new_unet
from napari_histoaug.learning.latents import cache_latents, latent_tissue
from napari_histoaug.learning.loop import Run
from napari_histoaug.learning.tissue import Tissue, find_fields, pixel_tissue
from napari_histoaug.models import (
    LatentStatistics,
    SpadeUNet,
    channels_last,
    load_autoencoder,
    load_unet,
    save_network,
)
from napari_histoaug.models.autoencoders import Autoencoder
from napari_histoaug.models.folder import GeneratorIndex, save_generator

Config = TypeVar("Config", bound=BaseModel)


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def run_script(
    description: str,
    kind: type[Config],
    train: Callable[[Config], Path],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse ``--config`` and overrides, train, and report; return the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("overrides", nargs="*", help="dotted overrides, e.g. loop.batch=8")
    given = parser.parse_args(arguments)
    # A polite kill, and Ctrl-C even under nohup, shall save as well.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.default_int_handler)
    try:
        written = train(load_config(kind, given.config, given.overrides))
    except HistoaugError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped; the last checkpoint is complete, and the same command goes on from it.")
        return 130
    say(f"written: {written}")
    return 0


def train_diffusion(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/train_diffusion.py``."""
    return run_script("Train the diffusion U-Net.", DiffusionTraining, fit_diffusion, arguments)


def train_autoencoder(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/train_autoencoder.py``."""
    return run_script("Train an autoencoder.", AutoencoderTraining, fit_autoencoder, arguments)


def fit_diffusion(config: DiffusionTraining) -> Path:
    """Train the U-Net and write the generator folder; returns that folder."""
    say(f"writing to {config.loop.out}")
    autoencoder = load_autoencoder(config.autoencoder) if config.autoencoder else None
    train, held_out, statistics = diffusion_tissue(config, autoencoder)
    model = load_unet(config.start) if config.start else new_unet(config, train)
    run = Run(model, DiffusionTask(config, train, held_out), config.loop)
    run.fit(say)
    folder = config.loop.out / "generator"
    index = GeneratorIndex(
        name=config.name or config.loop.out.name,
        classes=config.data.classes,
        mpp=(config.data.mpp, config.data.mpp),
        patch=config.data.crop,
        sampling=config.sampling,
        attribution=config.attribution,
        latents=statistics,
    )

    def export(network: nn.Module) -> None:
        assert isinstance(network, SpadeUNet)
        save_generator(folder, index, network, autoencoder)

    run.with_average(export)
    return folder


def diffusion_tissue(
    config: DiffusionTraining, autoencoder: Autoencoder | None
) -> tuple[Tissue, Tissue, LatentStatistics | None]:
    """Load training and held-out tissue, encoding it first where latents are wanted."""
    d = config.data
    if autoencoder is None:
        return *_pixels(d), None
    if config.loop.threads is not None:
        torch.set_num_threads(config.loop.threads)
    fields = find_fields(d.tiles, d.train_cases)
    checks = find_fields(d.tiles, d.validation_cases)
    checks = checks[:: max(1, len(checks) // config.validation_fields)]
    cache = config.latents or config.loop.out / "latents"

    def encoded(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            say(f"encoded {done}/{total} fields")

    autoencoder = channels_last(autoencoder)
    cache_latents(autoencoder, checks, cache, progress=encoded)
    cache_latents(autoencoder, fields, cache, copies=config.copies, progress=encoded)
    factor, share = autoencoder.factor, d.vessel_share
    train, statistics = latent_tissue(cache, fields, d.labels, factor, vessel_share=share)
    held_out, _ = latent_tissue(cache, checks, d.labels, factor, statistics, share)
    return train, held_out, statistics


def _pixels(data: DataConfig) -> tuple[Tissue, Tissue]:
    """Read training and held-out tissue as pixels."""
    train, held_out = (
        pixel_tissue(data.tiles, data.labels, cases, data.vessel_share)
        for cases in (data.train_cases, data.validation_cases)
    )
    return train, held_out


def fit_autoencoder(config: AutoencoderTraining) -> Path:
    """Train an autoencoder and write its averaged weights; returns their folder."""
    say(f"writing to {config.loop.out}")
    train, held_out = _pixels(config.data)
    run = Run(new_autoencoder(config), AutoencoderTask(config, train, held_out), config.loop)
    run.fit(say)
    folder = config.loop.out / "autoencoder"
    run.with_average(lambda network: save_network(network, folder))
    return folder
