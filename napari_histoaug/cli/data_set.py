"""The commands that make a data set of patches and look for leaks in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_histoaug.cli.plainly import plainly


@plainly
def extract(
    config: Annotated[Path, typer.Option(help="YAML file; see docs/patches.md.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted settings, such as patches.stride=256.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://...")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0: in this one.")] = None,
) -> None:
    """Extract the patches of many slides into a data set; resumes when it was stopped."""
    from napari_histoaug.learning.extracting import extract_patches

    arguments = ["--config", str(config), *(overrides or ())]
    if scheduler is not None:
        arguments += ["--scheduler", scheduler]
    if workers is not None:
        arguments += ["--workers", str(workers)]
    raise typer.Exit(extract_patches(arguments))


@plainly
def leakage(
    manifest: Annotated[Path, typer.Argument(help="manifest.parquet of the patches.")],
) -> None:
    """Say what the sets of a data set share: patients, pixels, copies; 1 when any does."""
    from napari_histoaug.patches import leakage

    found = leakage(manifest)
    for line in found.lines():
        typer.echo(line)
    raise typer.Exit(0 if found.clean else 1)
