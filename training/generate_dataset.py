"""Generate image and label pairs.

``python training/generate_dataset.py --config training/configs/NAME.yaml`` starts, and goes on.
Dotted overrides follow, e.g. ``count=500 kind=synthetic``; ``--shard 2/8`` makes a part, and under
``accelerate launch`` every process makes its own.
"""

from __future__ import annotations

from napari_histoaug.generation.dataset_script import generate_dataset

if __name__ == "__main__":
    raise SystemExit(generate_dataset())
