"""Between 8-bit images and the state the diffusion runs in (pixels or latents)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histoaug.diffusion.windows import taper, window_starts
from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.generator import Generator

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

AT_ONCE = 1024  # px; larger images pass the autoencoder in pieces
PIECE = 512  # px, side of a piece
SHARED = 128  # px that neighbouring pieces share, and over which they are blended


def encode(generator: Generator, image: Image) -> Tensor:
    """State float32 (1, C, H / factor, W / factor) of RGB (H, W, 3)."""
    if generator.autoencoder is None or max(image.shape[:2]) <= AT_ONCE:
        return _encode(generator, image)
    factor = generator.factor
    height, width = image.shape[:2]

    def piece(y: int, x: int, size: tuple[int, int]) -> Tensor:
        bottom, right = (y + size[0]) * factor, (x + size[1]) * factor
        return _encode(generator, image[y * factor : bottom, x * factor : right])[0].cpu()

    bands = _blended((height // factor, width // factor), generator, piece, 1)
    return torch.cat([band for _, band in bands], dim=1)[None].to(generator.device)


def _encode(generator: Generator, image: Image) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(image)).to(generator.device)
    x = (x.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    if generator.autoencoder is None:
        return x
    with torch.inference_mode(), autocast(generator.device):
        latents = generator.autoencoder.encode(x)
    return latents.float().clone()


def decode(generator: Generator, state: Tensor) -> Image:
    """RGB uint8 (H, W, 3) of a state (1, C, H / factor, W / factor)."""
    factor = generator.factor
    height, width = state.shape[2] * factor, state.shape[3] * factor
    if generator.autoencoder is None or max(height, width) <= AT_ONCE:
        return _to_bytes(_decode(generator, state))

    def piece(y: int, x: int, size: tuple[int, int]) -> Tensor:
        return _decode(generator, state[:, :, y : y + size[0], x : x + size[1]]).cpu()

    image = np.empty((height, width, 3), np.uint8)
    for top, band in _blended((state.shape[2], state.shape[3]), generator, piece, factor):
        image[top : top + band.shape[1]] = _to_bytes(band)
    return image


def _decode(generator: Generator, state: Tensor) -> Tensor:
    """RGB (3, H, W), about [-1, 1]."""
    if generator.autoencoder is None:
        return state[0]
    with torch.inference_mode(), autocast(generator.device):
        state = state.to(generator.device).contiguous(memory_format=torch.channels_last)
        return generator.autoencoder.decode(state)[0].float()


def _to_bytes(pixels: Tensor) -> Image:
    bytes_ = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return bytes_.permute(1, 2, 0).cpu().numpy()


Piece = Callable[[int, int, tuple[int, int]], Tensor]


def _blended(
    shape: tuple[int, int], generator: Generator, piece: Piece, zoom: int
) -> Iterator[tuple[int, Tensor]]:
    """Blend overlapping pieces into finished bands of rows, so that memory holds one band only.

    Parameters
    ----------
    shape : (int, int)
        Of the state, in cells.
    piece : callable
        ``piece(y, x, (h, w))`` makes a rectangle of cells: Tensor (C, h * zoom, w * zoom).
    zoom : int
        Of what is made: 1 for latents, the factor for pixels.

    Yields
    ------
    top : int
        First row of the band, in made pixels.
    band : Tensor, (C, rows, W * zoom)
    """
    factor = generator.factor
    shared = SHARED // factor
    h, w = (min(PIECE // factor, n) for n in shape)
    tops, lefts = _starts(shape[0], h, shared), _starts(shape[1], w, shared)
    rest: Tensor | None = None  # rows of the band above that this one still adds to
    for n, top in enumerate(tops):
        band = _band(shape[1], top, lefts, (h, w), shared, piece, zoom)
        down = _weights(top, h, shape[0], shared, zoom, tops)
        band = band * down[:, None]
        if rest is not None:
            band[:, : rest.shape[1]] += rest
        done = (tops[n + 1] - top if n + 1 < len(tops) else h) * zoom
        yield top * zoom, band[:, :done]
        rest = band[:, done:]


def _band(
    width: int,
    top: int,
    lefts: list[int],
    size: tuple[int, int],
    shared: int,
    piece: Piece,
    zoom: int,
) -> Tensor:
    """One row of pieces, blended along the row: Tensor (C, size[0] * zoom, width * zoom)."""
    band: Tensor | None = None
    for left in lefts:
        part = piece(top, left, size)
        if band is None:
            band = part.new_zeros(part.shape[0], part.shape[1], width * zoom)
        across = _weights(left, size[1], width, shared, zoom, lefts)
        band[:, :, left * zoom : (left + size[1]) * zoom] += part * across
    assert band is not None
    return band


def _starts(length: int, size: int, shared: int) -> list[int]:
    return [0] if size == length else window_starts(length, size, shared)


def _weights(
    start: int, size: int, length: int, shared: int, zoom: int, starts: list[int]
) -> Tensor:
    """The share of a piece along one axis; the shares of all pieces sum to 1 at every pixel."""
    scaled = [taper(s * zoom, size * zoom, length * zoom, shared * zoom, 0) for s in starts]
    total = torch.zeros(length * zoom, dtype=torch.float64)
    for s, weight in zip(starts, scaled, strict=True):
        total[s * zoom : (s + size) * zoom] += weight
    own = scaled[starts.index(start)]
    return (own / total[start * zoom : (start + size) * zoom]).float()


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
    grown = F.interpolate(hole.float(), scale_factor=generator.factor, mode="nearest")
    return (grown[0, 0] > 0).cpu().numpy()
