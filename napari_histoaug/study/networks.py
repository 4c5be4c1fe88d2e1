"""The study's own autoencoders and generators, taught on its training cases only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from pydantic import BaseModel

from napari_histoaug.learning.config import AutoencoderTraining, DiffusionTraining
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.journal import LOG
from napari_histoaug.learning.loop import never
from napari_histoaug.learning.scripts import fit_autoencoder, fit_diffusion
from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.models.checkpoints import read_json
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.preparing import DATA, LABELS, SPLITS, TILES, Places, field_of
from napari_histoaug.study.stages import COST, KEY, fill, key_of, link

AUTOENCODERS, GENERATORS = "networks/autoencoders", "networks/generators"
NETWORK, FIELDS = "network", "fields"
KEPT = (LOG, "report.html")

Training = TypeVar("Training", bound=BaseModel)
Stopped = Callable[[], bool]


def network_names(config: StudyConfig) -> list[str]:
    """Stages of all networks, those first that others need."""
    networks = config.networks
    first = [f"{AUTOENCODERS}/{name}" for name in networks.autoencoders]
    return first + [f"{GENERATORS}/{name}" for name in networks.generators]


def network_of(config: StudyConfig, stage: str) -> Path:
    """The folder of a taught network."""
    return config.out / stage / NETWORK


def teach_autoencoder(config: StudyConfig, name: str, stop: Stopped = never) -> bool:
    """Teach an autoencoder; returns whether anything was done.

    Raises
    ------
    StudyError
        When the configuration names none, or the stages before have not been run.
    """
    path = _named(config.networks.autoencoders, name, "autoencoder")

    def teach(part: Path) -> Path:
        return fit_autoencoder(_told(config, AutoencoderTraining, path, part), stop)

    return _fill(config, f"{AUTOENCODERS}/{name}", path, {}, teach)


def teach_generator(config: StudyConfig, name: str, stop: Stopped = never) -> bool:
    """Teach a diffusion network: on latents when an autoencoder has its name, else on pixels.

    Raises
    ------
    StudyError
        As :func:`teach_autoencoder`.
    """
    path = _named(config.networks.generators, name, "generator")
    latent = name in config.networks.autoencoders
    stage = f"{AUTOENCODERS}/{name}"
    needed = {"autoencoder": key_of(config.out / stage)} if latent else {}

    def teach(part: Path) -> Path:
        own = {"name": name, "autoencoder": None, "latents": None}
        if latent:
            own |= {
                "autoencoder": str(network_of(config, stage)),
                "latents": str(part / "training" / "latents"),
            }
        return fit_diffusion(_told(config, DiffusionTraining, path, part, own), stop)

    return _fill(config, f"{GENERATORS}/{name}", path, needed, teach)


def taught(config: StudyConfig, stage: str) -> dict[str, float]:
    """Steps and processor minutes of a network, for the report."""
    lines = (config.out / stage / LOG).read_text("utf-8").splitlines()
    cost = read_json(config.out / stage / COST)
    return {
        "steps": max(json.loads(line)["step"] for line in lines),
        "processor_minutes": round(cost["processor_seconds"] / 60, 1),
    }


def _named(paths: dict[str, Path], name: str, what: str) -> Path:
    if name not in paths:
        known = ", ".join(paths) or "none"
        raise StudyError(f"The study has no {what} {name}; its configuration names {known}.")
    return paths[name]


def _fill(
    config: StudyConfig,
    stage: str,
    path: Path,
    needed: dict[str, str],
    teach: Callable[[Path], Path],
) -> bool:
    inputs = {
        "training": path.read_text("utf-8") if path.is_file() else "",
        "settings": list(config.networks.settings),
        **_tissue_of(config),
        **needed,
    }

    def make(part: Path) -> int:
        written = teach(part)
        shutil.rmtree(part / NETWORK, ignore_errors=True)
        written.rename(part / NETWORK)
        for name in KEPT:
            link(part / "training" / name, part / name)
        for folder in ("training", FIELDS):
            shutil.rmtree(part / folder)
        return 1

    return fill(config.out / stage, inputs, make, config.pools.device)


def _tissue_of(config: StudyConfig) -> dict[str, Any]:
    """What decides on the tissue that networks see: not how many outlines segmenters may use."""
    key_of(config.out / DATA)
    told = read_json(config.out / DATA / KEY)["inputs"]
    used = ("label", "mpp", "train_cases", "validation_cases")
    return {
        "tissue": {name: told["tissue"][name] for name in used},
        "outlines": told["outlines"],
        "fields": {name: told["splits"][name] for name in ("train", "validation")},
        **{name: told[name] for name in ("cut",) if name in told},
    }


def _told(
    config: StudyConfig,
    kind: type[Training],
    path: Path,
    part: Path,
    own: dict[str, Any] | None = None,
) -> Training:
    """A training configuration with the study's tissue in place of its own."""
    t, fields = config.tissue, part / FIELDS
    _lay_out(config, fields)
    given = {
        "data.tiles": str(fields / TILES),
        "data.labels": str(fields / LABELS),
        "data.train_cases": list(t.train_cases),
        "data.validation_cases": list(t.validation_cases),
        "data.mpp": t.mpp,
        "loop.out": str(part / "training"),
        **(own or {}),
    }
    said = [f"{name}={json.dumps(value)}" for name, value in given.items()]
    return load_config(kind, path, [*config.networks.settings, *said])


def _lay_out(config: StudyConfig, folder: Path) -> None:
    """Tiles and labels of the training and validation fields; what nobody knows is background."""
    splits = read_json(config.out / SPLITS)
    for kind in (TILES, LABELS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for stem in (*splits["train"], *splits["validation"]):
        tile = field_of(config.tissue, stem)
        link(tile, folder / TILES / tile.name)
        labels = np.asarray(Image.open(Places(config.out / DATA).labels / f"{stem}.png"))
        known = np.where(labels == IGNORED, 0, labels).astype(np.uint8)
        Image.fromarray(known).save(folder / LABELS / f"{stem}.png")
