"""What ``generate_dataset.py`` does, callable from it and from an installed wheel."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_histoaug.generation.dataset import generate
from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.generation.generator import load_generator
from napari_histoaug.learning.command_line import say
from napari_histoaug.learning.scripts import run_script


def generate_dataset(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/generate_dataset.py``."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--shard", help="this process's part, e.g. 2/8")
    given, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    shard, device = launched()
    extra = [f"shard={given.shard}"] if given.shard else shard
    return run_script(
        "Generate image and label pairs; --shard i/n makes every n-th from the i-th.",
        DatasetConfig,
        make_dataset,
        [*rest, *device, *extra],
    )


def launched() -> tuple[list[str], list[str]]:
    """Part and device, as overrides, of a process that accelerate's or torch's launcher began."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return [], []
    from napari_histoaug.learning.processes import this_process

    state = this_process()
    return [f"shard={state.process_index + 1}/{size}"], [f"device={state.device}"]


def make_dataset(config: DatasetConfig, stop: Callable[[], bool]) -> Path:
    """Make this shard's pairs; returns the folder."""
    say(f"writing to {config.out}, shard {config.shard}")
    generator = load_generator(config.model, config.device).like(config.data_set)

    def progress(done: int, total: int, pace: float) -> None:
        if done % 10 == 0 or done == total:
            left = pace * (total - done) / 60
            say(f"pair {done}/{total}, {pace:.2f} s a pair, {left:.0f} min left")

    if not generate(config, generator, progress, stop):
        raise KeyboardInterrupt
    return config.out
