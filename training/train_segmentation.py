"""Train the attention-gated segmentation U-Net.

``python training/train_segmentation.py --config training/configs/NAME.yaml`` starts, and resumes.
Dotted overrides follow, e.g. ``loop.batch=8 loop.out=runs/mine``.
The segmenter folder (fp16, thresholds included) is written to ``<loop.out>/segmenter``.
"""

from __future__ import annotations

from napari_histoaug.learning.segmentation_script import train_segmentation

if __name__ == "__main__":
    raise SystemExit(train_segmentation())
