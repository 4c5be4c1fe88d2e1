"""A generator on disk: ``model_index.json``, ``unet/``, ``scheduler/``, ``autoencoder/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.models.autoencoders import Autoencoder, LatentSpace, LatentStatistics
from napari_histoaug.models.checkpoints import (
    ModelError,
    load_autoencoder,
    load_unet,
    network_files,
    read_json,
    save_network,
    sha256_of,
    told_when_invalid,
    write_json,
)
from napari_histoaug.models.spade_unet import SpadeUNet
from napari_histoaug.models.sums import write_sums

INDEX = "model_index.json"


class SamplingDefaults(BaseModel):
    """How this network is best sampled, as measured on held-out holes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(50, ge=1)
    solver: Literal["ancestral", "ddim", "dpmpp-2m"] = "ancestral"
    spacing: Literal["linear", "quadratic", "karras"] = "quadratic"
    guidance: float = Field(1.0, ge=0, description="classifier-free guidance scale; 1 = none")


class GeneratorIndex(BaseModel):
    """``model_index.json``: what a generator knows besides its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    classes: tuple[str, ...]
    mpp: tuple[float, float] = Field(description="micrometres per pixel it was taught at, (y, x)")
    patch: int = Field(256, ge=32, description="side it was taught at, pixels")
    sampling: SamplingDefaults = SamplingDefaults()
    latents: LatentStatistics | None = None
    data_sets: tuple[str, ...] = Field(
        (), description="names of the data sets that the network tells apart"
    )
    attribution: str = ""


class ScheduleConfig(BaseModel):
    """``scheduler/scheduler_config.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    num_train_timesteps: int = Field(1000, ge=1)
    beta_start: float = Field(1e-4, gt=0)
    beta_end: float = Field(0.02, gt=0, lt=1)


@dataclass(frozen=True)
class GeneratorParts:
    """The parts of a generator folder, loaded."""

    index: GeneratorIndex
    schedule: ScheduleConfig
    unet: SpadeUNet
    latent_space: LatentSpace | None
    sha256: str


def save_generator(
    folder: Path,
    index: GeneratorIndex,
    unet: SpadeUNet,
    autoencoder: Autoencoder | None,
    *,
    dtype: torch.dtype = torch.float16,
    schedule: ScheduleConfig | None = None,
) -> None:
    """Write a generator folder and its hashes; weights in half precision unless told otherwise."""
    save_network(unet, folder / "unet", dtype=dtype)
    if autoencoder is not None:
        save_network(autoencoder, folder / "autoencoder", dtype=dtype)
    scheduler = folder / "scheduler"
    scheduler.mkdir(exist_ok=True)
    schedule = schedule or ScheduleConfig.model_validate({})
    content = {
        "_class_name": "DDPMScheduler",
        **schedule.model_dump(),
        "beta_schedule": "linear",
        "clip_sample": False,
        "prediction_type": {"v": "v_prediction"}.get(unet.config.prediction, "epsilon"),
    }
    write_json(scheduler / "scheduler_config.json", content)
    # The index comes last: a folder that has one is complete.
    write_json(
        folder / INDEX, {"_class_name": "HistoaugGenerator", **index.model_dump(mode="json")}
    )
    write_sums(folder)


def load_parts(folder: Path) -> GeneratorParts:
    """Read a generator folder.

    Raises
    ------
    ModelError
        When something is missing, damaged, or does not fit; one sentence that names the file.
    """
    if not folder.is_dir():
        raise ModelError(f"The model folder {folder} does not exist; choose another one.")
    content = read_json(folder / INDEX)
    content.pop("_class_name", None)
    with told_when_invalid(f"The model folder {folder}"):
        index = GeneratorIndex.model_validate(content)
        schedule = ScheduleConfig.model_validate(
            read_json(folder / "scheduler" / "scheduler_config.json")
        )
    unet = load_unet(folder / "unet")
    space = None
    if index.latents is not None:
        space = LatentSpace(load_autoencoder(folder / "autoencoder"), index.latents).eval()
    _check_fit(folder, index, unet, space)
    parts = ["unet", "autoencoder"] if space else ["unet"]
    files = [file for part in parts for file in network_files(folder / part)]
    return GeneratorParts(index, schedule, unet, space, sha256_of([folder / INDEX, *files]))


def _check_fit(
    folder: Path, index: GeneratorIndex, unet: SpadeUNet, space: LatentSpace | None
) -> None:
    wanted = space.channels if space else 3
    if unet.config.channels != wanted:
        raise ModelError(
            f"In {folder} the U-Net works on {unet.config.channels} channels, but its pixels or "
            f"latents have {wanted}; the parts do not belong together."
        )
    if unet.config.classes != len(index.classes):
        raise ModelError(
            f"In {folder} the U-Net knows {unet.config.classes} classes, but {INDEX} names "
            f"{len(index.classes)}; the parts do not belong together."
        )
