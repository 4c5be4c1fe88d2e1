"""Train the SPADE diffusion U-Net.

``python training/train_diffusion.py --config training/configs/NAME.yaml`` starts, and resumes.
Dotted overrides follow, e.g. ``loop.batch=8 loop.out=runs/mine``.
The finished generator folder (fp16, loadable by path) is written to ``<loop.out>/generator``.
"""

from __future__ import annotations

from napari_histoaug.learning.scripts import train_diffusion

if __name__ == "__main__":
    raise SystemExit(train_diffusion())
