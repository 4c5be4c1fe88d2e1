"""Extract patches of many slides.

``python training/extract_patches.py --config training/configs/extract.yaml`` starts, and resumes.
Dotted overrides follow, e.g. ``patches.stride=256 out=runs/mine``; ``--scheduler tcp://...`` hands
the work to a dask cluster. The data set is ``<out>/manifest.parquet``; see docs/patches.md.
"""

from __future__ import annotations

from napari_histoaug.learning.extracting import extract_patches

if __name__ == "__main__":
    raise SystemExit(extract_patches())
