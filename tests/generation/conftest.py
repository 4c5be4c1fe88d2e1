"""Small untrained generators and a piece of made-up tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_histoaug.generation import Generator, load_generator
from napari_histoaug.models import (
    LatentStatistics,
    SpadeUNet,
    SpadeUNetConfig,
    TinyAutoencoder,
    TinyAutoencoderConfig,
)
from napari_histoaug.models.folder import GeneratorIndex, SamplingDefaults, save_generator


def index(**values: object) -> GeneratorIndex:
    settings = {
        "name": "small",
        "classes": ("blood_vessel",),
        "mpp": (0.5, 0.5),
        "patch": 64,
        "sampling": SamplingDefaults(steps=4),
        **values,
    }
    return GeneratorIndex.model_validate(settings)


def awake(config: SpadeUNetConfig) -> SpadeUNet:
    model = SpadeUNet(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.05)
    return model


@pytest.fixture(scope="session")
def pixel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pixel")
    config = SpadeUNetConfig(width=8, multipliers=(1, 2), spade_hidden=8, unshuffle=4)
    save_generator(folder, index(), awake(config), None)
    return folder


@pytest.fixture(scope="session")
def latent_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("latent")
    config = SpadeUNetConfig(channels=4, width=8, multipliers=(1, 2), spade_hidden=8)
    tiny = TinyAutoencoder(TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1))
    statistics = LatentStatistics(mean=(0.0,) * 4, std=(1.0,) * 4)
    save_generator(folder, index(latents=statistics), awake(config), tiny)
    return folder


@pytest.fixture(params=["pixel", "latent"])
def generator(request: pytest.FixtureRequest) -> Generator:
    folder: Path = request.getfixturevalue(f"{request.param}_folder")
    return load_generator(folder, device="cpu")


@pytest.fixture
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (180, 200, 3), dtype=np.uint8)


@pytest.fixture
def hole() -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:180, :200]
    return (y - 80) ** 2 / 900 + (x - 110) ** 2 / 400 < 1
