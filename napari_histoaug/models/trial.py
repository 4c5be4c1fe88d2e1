"""A model tried once, on nothing: whether its networks answer with numbers."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_histoaug.models.checkpoints import ModelError
from napari_histoaug.models.folder import GeneratorParts, load_parts
from napari_histoaug.models.segmenter_folder import SegmenterParts, load_segmenter_parts


@torch.no_grad()
def try_networks(folder: Path) -> GeneratorParts:
    """Load a generator and run its networks on a smallest grey image.

    Raises
    ------
    ModelError
        When it cannot be loaded, or answers with something that is not a number.
    """
    parts = load_parts(folder)
    unet, space = parts.unet, parts.latent_space
    side = unet.stride * 2
    hole, t = torch.ones(1, 1, side, side), torch.tensor([500])
    labels = torch.zeros(1, unet.label_channels, side, side)
    labels[:, 0] = 1
    answer = unet(torch.zeros(1, unet.config.channels, side, side), t, hole, labels)
    good = bool(answer.isfinite().all())
    if space is not None:
        pixels = torch.zeros(1, 3, side * space.factor, side * space.factor)
        good = good and bool(space.decode(space.encode(pixels)).isfinite().all())
    if not good:
        raise ModelError(f"The networks in {folder} answer with no numbers; get the model again.")
    return parts


@torch.no_grad()
def try_segmenter(folder: Path) -> SegmenterParts:
    """Load a segmenter and run its network on a small grey image.

    Raises
    ------
    ModelError
        As for :func:`try_networks`.
    """
    parts = load_segmenter_parts(folder)
    side = parts.unet.stride * 2
    if not parts.unet(torch.zeros(1, 3, side, side)).isfinite().all():
        raise ModelError(f"The network in {folder} answers with no numbers; get the model again.")
    return parts
