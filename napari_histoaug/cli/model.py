"""``histoaug model``: what a model is, whether it is whole, and a generator's way in and out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histoaug.cli.plainly import plainly

if TYPE_CHECKING:
    from napari_histoaug.models.folder import GeneratorParts
    from napari_histoaug.models.segmenter_folder import SegmenterParts

model_app = typer.Typer(
    help="Look at and check models; import and export generators.", no_args_is_help=True
)

Source = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Name or folder; the bundled one if left.")
]

Finds = Annotated[
    bool, typer.Option("--segmenter", help="The model finds vessels; a folder tells by itself.")
]


class Precision(StrEnum):
    """How weights are stored."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"


@model_app.command()
@plainly
def show(model: Source = None, segmenter: Finds = False) -> None:
    """Say what a model is: classes, pixel size, networks, hash, whom to thank."""
    from napari_histoaug.generation.generator import available_generators, find_generator
    from napari_histoaug.models.folder import load_parts

    if segmenter or _is_segmenter(model):
        _show_segmenter(model)
        return
    folder = find_generator(model)
    for name, fact in _facts(folder, load_parts(folder)).items():
        typer.echo(f"{name:<12}{fact}")
    typer.echo(f"{'known':<12}{', '.join(available_generators())}")


def _is_segmenter(model: str | None) -> bool:
    from napari_histoaug.models.segmenter_folder import INDEX

    return model is not None and (Path(model) / INDEX).is_file()


def _show_segmenter(model: str | None) -> None:
    from napari_histoaug.models.segmenter_folder import load_segmenter_parts
    from napari_histoaug.segmentation import available_segmenters
    from napari_histoaug.segmentation.segmenter import find_segmenter

    folder = find_segmenter(model)
    for name, fact in _segmenter_facts(folder, load_segmenter_parts(folder)).items():
        typer.echo(f"{name:<12}{fact}")
    typer.echo(f"{'known':<12}{', '.join(available_segmenters())}")


def _segmenter_facts(folder: Path, parts: SegmenterParts) -> dict[str, str]:
    index, unet = parts.index, parts.unet
    millions = sum(p.numel() for p in unet.parameters()) / 1e6
    facts = {
        "name": index.name,
        "folder": str(folder),
        "finds": ", ".join(index.classes),
        "from": ", ".join(f"{threshold:.2f}" for threshold in index.thresholds),
        "pixel size": f"{index.mpp[0]} x {index.mpp[1]} µm",
        "windows": f"{index.patch} px",
        "network": f"{unet.config.kind} on {unet.config.encoder}, {millions:.1f} M parameters",
        "weights": f"{_megabytes(folder):.1f} MB",
        "sha256": parts.sha256,
    }
    return {**facts, "thanks": index.attribution} if index.attribution else facts


def _megabytes(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*.safetensors")) / 1e6


def _facts(folder: Path, parts: GeneratorParts) -> dict[str, str]:
    index, unet, space = parts.index, parts.unet, parts.latent_space
    sampling, config = index.sampling, unet.config
    networks = [unet, space.autoencoder] if space else [unet]
    millions = [f"{sum(p.numel() for p in n.parameters()) / 1e6:.1f} M" for n in networks]
    facts = {
        "name": index.name,
        "folder": str(folder),
        "classes": ", ".join(index.classes),
        "pixel size": f"{index.mpp[0]} x {index.mpp[1]} µm",
        "taught at": f"{index.patch} px",
        "U-Net": f"{millions[0]} parameters, {config.prediction} prediction",
        "works on": "pixels",
        "sampling": f"{sampling.solver}, {sampling.steps} steps, {sampling.spacing} spacing, "
        f"guidance {sampling.guidance:g}",
        "weights": f"{_megabytes(folder):.1f} MB",
        "sha256": parts.sha256,
    }
    if space is not None:
        facts["works on"] = (
            f"latents of {space.channels} channels, factor {space.factor}; "
            f"{type(space.autoencoder).__name__}, {millions[1]} parameters"
        )
    if index.attribution:
        facts["thanks"] = index.attribution
    return facts


@model_app.command()
@plainly
def verify(model: Source = None, segmenter: Finds = False) -> None:
    """Check every file of a model against its record, and run its networks once."""
    from napari_histoaug.generation.generator import find_generator
    from napari_histoaug.models.sums import check_sums
    from napari_histoaug.models.trial import try_networks, try_segmenter
    from napari_histoaug.segmentation.segmenter import find_segmenter

    finds = segmenter or _is_segmenter(model)
    folder = find_segmenter(model) if finds else find_generator(model)
    recorded = check_sums(folder)
    parts = try_segmenter(folder) if finds else try_networks(folder)
    record = "every file is as recorded" if recorded else "no hashes were recorded for its files"
    typer.echo(f"{parts.index.name} works; {record}; sha256 {parts.sha256}")


@model_app.command(name="import")
@plainly
def import_(
    source: Annotated[Path, typer.Argument(help="Folder in diffusers' layout, or a safetensors.")],
    name: Annotated[str, typer.Option(help="What --model will call it.")],
    mapping: Annotated[
        Path | None, typer.Option(help="YAML file: index, unet, rename, autoencoder.")
    ] = None,
) -> None:
    """Add a generator under a name; safetensors only, pickles are refused."""
    from napari_histoaug.errors import HistoaugError
    from napari_histoaug.generation.generator import available_generators, user_generators
    from napari_histoaug.models.exchange import import_generator, read_mapping

    if name in available_generators() or not name or Path(name).name != name:
        raise HistoaugError(f"{name!r} cannot be its name; choose a new one, without slashes.")
    out = user_generators() / name
    import_generator(source, out, read_mapping(mapping) if mapping else None)
    typer.echo(f"{name} is in {out}; use it with --model {name}")


@model_app.command()
@plainly
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    model: Annotated[
        str | None, typer.Option(help="Name or folder; the bundled one if left.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Of the stored weights.")
    ] = Precision.FLOAT16,
) -> None:
    """Write a generator into a new folder in diffusers' layout, with the sha256 of every file."""
    import torch

    from napari_histoaug.generation.generator import find_generator
    from napari_histoaug.models.exchange import export_generator

    export_generator(find_generator(model), out, getattr(torch, precision.value))
    typer.echo(str(out))
