"""Train an autoencoder.

``python training/train_autoencoder.py --config training/configs/NAME.yaml`` starts, and resumes.
Dotted overrides follow, e.g. ``loop.batch=8 loop.out=runs/mine``.
The averaged network is written to ``<loop.out>/autoencoder``.
"""

from __future__ import annotations

from napari_histoaug.learning.scripts import train_autoencoder

if __name__ == "__main__":
    raise SystemExit(train_autoencoder())
