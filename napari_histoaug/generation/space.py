"""Between 8-bit images and the state the diffusion runs in (pixels or latents)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.generator import Generator

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


def encode(generator: Generator, image: Image) -> Tensor:
    """State float32 (1, C, H / factor, W / factor) of RGB (H, W, 3)."""
    x = torch.from_numpy(np.ascontiguousarray(image)).to(generator.device)
    x = (x.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    if generator.autoencoder is None:
        return x
    with torch.inference_mode(), autocast(generator.device):
        return generator.autoencoder.encode(x).float().clone()


def decode(generator: Generator, state: Tensor) -> Image:
    """RGB uint8 (H, W, 3) of a state (1, C, H / factor, W / factor)."""
    if generator.autoencoder is not None:
        with torch.inference_mode(), autocast(generator.device):
            state = generator.autoencoder.decode(
                state.contiguous(memory_format=torch.channels_last)
            )
    pixels = ((state[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 0).cpu().numpy()


def state_hole(generator: Generator, hole: Bool, *, grow: int = 1) -> Tensor:
    """The hole on the state's grid, bool (1, 1, h, w): any hole pixel makes its cell a hole.

    Cells are those that the network keeps or makes as one; `grow` more of them are added around,
    since what an autoencoder says of the neighbours still shows what the hole held.
    """
    cell = generator.cell
    x = torch.from_numpy(np.ascontiguousarray(hole))[None, None].float()
    cells = F.max_pool2d(x, cell)
    for _ in range(grow):
        cells = F.max_pool2d(cells, 3, stride=1, padding=1)
    repeat = generator.unet.config.unshuffle
    return (F.interpolate(cells, scale_factor=repeat, mode="nearest") > 0).to(generator.device)


def pixels_of(generator: Generator, hole: Tensor) -> Bool:
    """The pixels (H, W) that a hole on the state's grid covers."""
    factor = generator.autoencoder.factor if generator.autoencoder else 1
    grown = F.interpolate(hole.float(), scale_factor=factor, mode="nearest")
    return (grown[0, 0] > 0).cpu().numpy()
