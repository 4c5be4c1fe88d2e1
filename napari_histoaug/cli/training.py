"""The commands that teach networks and generate data sets: what the scripts in training/ do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from napari_histoaug.cli.plainly import plainly
from napari_histoaug.errors import HistoaugError

train_app = typer.Typer(
    help="Train the networks; the same command goes on where it was stopped.", no_args_is_help=True
)

Config = Annotated[Path, typer.Option(help="YAML file; see docs/training.md.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Dotted settings, such as loop.batch=8.")
]


@train_app.command()
@plainly
def autoencoder(config: Config, overrides: Overrides = None) -> None:
    """Train the autoencoder that latents are made with."""
    with _installed():
        from napari_histoaug.learning.scripts import train_autoencoder
    raise typer.Exit(train_autoencoder(_arguments(config, overrides)))


@train_app.command()
@plainly
def diffusion(config: Config, overrides: Overrides = None) -> None:
    """Train the generator's diffusion U-Net."""
    with _installed():
        from napari_histoaug.learning.scripts import train_diffusion
    raise typer.Exit(train_diffusion(_arguments(config, overrides)))


@train_app.command()
@plainly
def segmentation(config: Config, overrides: Overrides = None) -> None:
    """Train the network that finds vessels."""
    with _installed():
        from napari_histoaug.learning.segmentation_script import train_segmentation
    raise typer.Exit(train_segmentation(_arguments(config, overrides)))


@plainly
def generate(
    config: Config,
    overrides: Overrides = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Make every N-th pair from the I-th.")
    ] = None,
) -> None:
    """Generate image and label pairs into a data set; resumes when it was stopped."""
    with _installed():
        from napari_histoaug.generation.dataset_script import generate_dataset
    part = [] if shard is None else ["--shard", shard]
    raise typer.Exit(generate_dataset([*_arguments(config, overrides), *part]))


def _arguments(config: Path, overrides: list[str] | None) -> list[str]:
    return ["--config", str(config), *(overrides or ())]


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise HistoaugError(
            f"Training needs {error.name}, which is not installed; run "
            'pip install "napari-histoaug[train]".'
        ) from None
