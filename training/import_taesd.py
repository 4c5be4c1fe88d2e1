"""Turn the two published TAESD (FLUX.2) weight files into an autoencoder folder.

``python training/import_taesd.py taef2_encoder.pth taef2_decoder.pth runs/taesd``
Weights: MIT, madebyollin/taesd. Nothing pickled is executed (``weights_only=True``).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from napari_histoaug.models import (
    TinyAutoencoder,
    TinyAutoencoderConfig,
    load_taesd,
    save_network,
)


def main(encoder: str, decoder: str, out: str) -> None:
    """Read both state dicts and write the folder `out`."""
    model = TinyAutoencoder(TinyAutoencoderConfig())
    states = (torch.load(Path(path), weights_only=True) for path in (encoder, decoder))
    load_taesd(model, *states)
    save_network(model, Path(out), dtype=torch.float16)
    print(f"written: {out}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: import_taesd.py ENCODER.pth DECODER.pth OUT_FOLDER")
    main(*sys.argv[1:])
