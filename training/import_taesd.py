"""Turn the two published TAESD (FLUX.2) weight files into an autoencoder folder.

``python training/import_taesd.py ENCODER.pth DECODER.pth OUT --colour-cell 4``
With ``--channels`` the latents are cut down to their first principal directions on the fields in
TILES; with ``--colour-cell`` mean colours take their place. Either is a start for
``train_autoencoder.py``. Weights: MIT, madebyollin/taesd. Nothing pickled is
executed (``weights_only=True``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from napari_histoaug.models import (
    TinyAutoencoder,
    TinyAutoencoderConfig,
    load_taesd,
    save_network,
)
from napari_histoaug.models.autoencoders import narrowed, with_colour

SAMPLE_FIELDS, SAMPLE_SIDE = 60, 256


@torch.no_grad()
def sample_latents(model: TinyAutoencoder, tiles: Path) -> Tensor:
    """Latent vectors (N, C) of the middles of evenly chosen fields."""
    paths = sorted(tiles.glob("*.jpg"))
    found = []
    for path in paths[:: max(1, len(paths) // SAMPLE_FIELDS)]:
        image = np.asarray(Image.open(path).convert("RGB"))
        y, x = ((n - SAMPLE_SIDE) // 2 for n in image.shape[:2])
        piece = image[y : y + SAMPLE_SIDE, x : x + SAMPLE_SIDE]
        state = torch.from_numpy(piece.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        found.append(model.encode(state)[0].flatten(1).T)
    return torch.cat(found)


def main() -> None:
    """Read both state dicts and write the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("encoder", type=Path)
    parser.add_argument("decoder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--channels", type=int, help="latent channels to keep; needs --tiles")
    parser.add_argument("--tiles", type=Path, help="training fields (.jpg)")
    parser.add_argument(
        "--noise", type=float, default=0.15, help="mean latent noise while training"
    )
    parser.add_argument("--colour-cell", type=int, help="mean colours of so many pixels instead")
    given = parser.parse_args()
    model = TinyAutoencoder(TinyAutoencoderConfig(noise=given.noise))
    states = (torch.load(path, weights_only=True) for path in (given.encoder, given.decoder))
    load_taesd(model, *states)
    if given.channels:
        model = narrowed(model, sample_latents(model, given.tiles), given.channels, given.noise)
    if given.colour_cell:
        model = with_colour(model, given.colour_cell, keep=False)
    save_network(model, given.out)
    print(f"written: {given.out}")


if __name__ == "__main__":
    main()
