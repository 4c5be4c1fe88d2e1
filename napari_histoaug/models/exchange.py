"""Generators from elsewhere and for elsewhere; only safetensors, nothing pickled is ever opened."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from napari_histoaug.models.autoencoders import Autoencoder, LatentStatistics
from napari_histoaug.models.checkpoints import (
    CONFIG,
    WEIGHTS,
    ModelError,
    check_tensors,
    load_autoencoder,
    load_tensors,
    read_json,
    told_when_invalid,
)
from napari_histoaug.models.diffusers_autoencoder import DiffusersAutoencoder
from napari_histoaug.models.folder import (
    INDEX,
    GeneratorIndex,
    ScheduleConfig,
    load_parts,
    save_generator,
)
from napari_histoaug.models.spade_unet import SpadeUNet, SpadeUNetConfig

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
AUTOENCODERS = ("autoencoder", "vae", "vqvae", "movq")
PICKLED = {".bin", ".ckpt", ".pkl", ".pt", ".pth"}


class Mapping(BaseModel):
    """How foreign weights become a generator: a YAML file beside them.

    ``rename`` holds pairs (regular expression, replacement), applied to every tensor name in turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: GeneratorIndex | None = Field(None, description="what model_index.json does not say")
    unet: SpadeUNetConfig | None = Field(None, description="the shape of the U-Net")
    rename: tuple[tuple[str, str], ...] = ()
    autoencoder: Path | None = Field(None, description="folder of the autoencoder")

    @field_validator("rename")
    @classmethod
    def _must_compile(cls, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for pattern, _ in pairs:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression ({error})") from None
        return pairs


def read_mapping(path: Path) -> Mapping:
    """Read a mapping.

    Raises
    ------
    ModelError
        When the file cannot be read or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"The mapping {path} cannot be read ({error}).") from None
    with told_when_invalid(f"The mapping {path}"):
        return Mapping.model_validate(content)


def import_generator(source: Path, out: Path, mapping: Mapping | None = None) -> None:
    """Make a generator folder of foreign weights.

    Parameters
    ----------
    source : Path
        A folder in diffusers' layout (ours is one), or one safetensors file of a U-Net.
    out : Path
        The folder to make.
    mapping : Mapping, optional
        Needed for a file, and for what the folder does not say.

    Raises
    ------
    ModelError
        When something is missing, pickled, or does not fit; nothing is left in `out`.
    """
    mapping = mapping or Mapping.model_validate({})
    if source.suffix in PICKLED:
        raise _pickled(source)
    if not source.exists():
        raise ModelError(f"There is no model {source}; check the path.")
    if source.is_dir():
        index, shape, weights, autoencoder, schedule = _from_folder(source, mapping)
    else:
        if mapping.index is None or mapping.unet is None:
            raise ModelError(
                f"{source.name} holds weights only; pass --mapping FILE.yaml with index and unet."
            )
        index, shape, weights, schedule = mapping.index, mapping.unet, source, None
        autoencoder = load_autoencoder(mapping.autoencoder) if mapping.autoencoder else None
    tensors = renamed(load_tensors(weights), mapping.rename)
    unet = SpadeUNet(shape)
    check_tensors(unet.state_dict(), tensors, weights)
    unet.load_state_dict(tensors)
    index = _with_statistics(index, autoencoder)
    half = all(tensor.dtype != torch.float32 for tensor in tensors.values())
    write_whole(out, index, unet, autoencoder, schedule, torch.float16 if half else torch.float32)


def export_generator(source: Path, out: Path, dtype: torch.dtype) -> None:
    """Write a generator, checked, into a new folder in diffusers' layout with its hashes."""
    parts = load_parts(source)
    autoencoder = parts.latent_space.autoencoder if parts.latent_space else None
    write_whole(out, parts.index, parts.unet, autoencoder, parts.schedule, dtype)


def write_whole(
    out: Path,
    index: GeneratorIndex,
    unet: SpadeUNet,
    autoencoder: Autoencoder | None,
    schedule: ScheduleConfig | None,
    dtype: torch.dtype,
) -> None:
    """Write a generator folder under a temporary name, load it once, then rename it.

    Raises
    ------
    ModelError
        When `out` exists, cannot be written, or the parts do not fit each other.
    """
    if out.exists():
        raise ModelError(f"{out} is there already; choose another name or remove it.")
    temporary = out.parent / f".{uuid.uuid4().hex}.part"
    try:
        temporary.mkdir(parents=True)
        save_generator(temporary, index, unet, autoencoder, dtype=dtype, schedule=schedule)
        load_parts(temporary)
        temporary.rename(out)
    except OSError as error:
        raise ModelError(f"{out} cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def renamed(tensors: dict[str, Tensor], pairs: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Apply every (pattern, replacement) to every name.

    Raises
    ------
    ModelError
        When two tensors end up with one name.
    """
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in pairs:
            new = re.sub(pattern, replacement, new)
        if new in made:
            raise ModelError(
                f"The mapping gives two tensors the name {new}; one of them is {name}."
            )
        made[new] = tensor
    return made


Found = tuple[GeneratorIndex, SpadeUNetConfig, Path, Autoencoder | None, ScheduleConfig | None]


def _from_folder(folder: Path, mapping: Mapping) -> Found:
    content = read_json(folder / INDEX)
    kind = content.pop("_class_name", None)
    if mapping.index is None and kind != "HistoaugGenerator":
        raise ModelError(
            f"{folder / INDEX} is that of a {kind}, which names no classes and no pixel size; pass "
            "--mapping FILE.yaml with an index."
        )
    with told_when_invalid(folder):
        index = mapping.index or GeneratorIndex.model_validate(content)
        shape = mapping.unet or _shape(folder / "unet")
        schedule = _schedule(folder, shape)
    places = [mapping.autoencoder, *(folder / name for name in AUTOENCODERS)]
    place = next((p for p in places if p is not None and (p / CONFIG).is_file()), None)
    autoencoder = load_autoencoder(place) if place is not None else None
    return index, shape, _weights(folder / "unet"), autoencoder, schedule


def _shape(folder: Path) -> SpadeUNetConfig:
    config = read_json(folder / CONFIG)
    kind = config.pop("_class_name", None)
    if kind != "SpadeUNet":
        raise ModelError(
            f"{folder / CONFIG} is that of a {kind}; only a SpadeUNet knows labels and holes."
        )
    return SpadeUNetConfig.model_validate({k: v for k, v in config.items() if k[0] != "_"})


def _weights(folder: Path) -> Path:
    for name in (WEIGHTS, DIFFUSERS_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    pickled = [p for p in sorted(folder.glob("*")) if p.suffix in PICKLED]
    if pickled:
        raise _pickled(pickled[0])
    raise ModelError(f"{folder} holds no {WEIGHTS}; choose a complete model folder.")


def _schedule(folder: Path, shape: SpadeUNetConfig) -> ScheduleConfig:
    path = folder / "scheduler" / "scheduler_config.json"
    content = read_json(path)
    betas = content.get("beta_schedule", "linear")
    if betas != "linear":
        raise ModelError(f"{path} asks for {betas} betas; only linear ones are known.")
    wanted = {"v": "v_prediction"}.get(shape.prediction, "epsilon")
    if content.get("prediction_type", wanted) != wanted:
        raise ModelError(
            f"{path} says {content['prediction_type']}, the U-Net {wanted}; correct one of them."
        )
    return ScheduleConfig.model_validate(content)


def _with_statistics(index: GeneratorIndex, autoencoder: Autoencoder | None) -> GeneratorIndex:
    """Give latents the scale that diffusers keeps in the autoencoder, unless one is known."""
    if autoencoder is None or index.latents is not None:
        return index
    factor = None
    if isinstance(autoencoder, DiffusersAutoencoder):
        network: Any = autoencoder.network
        factor = network.config.get("scaling_factor")
    if not factor:
        raise ModelError(
            "The autoencoder does not say how its latents are scaled; pass --mapping FILE.yaml "
            "whose index has latents with mean and std of each channel."
        )
    with torch.no_grad():
        channels = autoencoder.encode(torch.zeros(1, 3, 64, 64)).shape[1]
    spread = LatentStatistics(mean=(0.0,) * channels, std=(1 / float(factor),) * channels)
    return index.model_copy(update={"latents": spread})


def _pickled(path: Path) -> ModelError:
    return ModelError(
        f"{path.name} is a pickle, which can run code when it is opened; convert it to safetensors "
        "where you trust it, then import that."
    )
