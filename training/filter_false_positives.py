"""Teach a filter for false positives on validation slides, or apply one to predictions.

``python training/filter_false_positives.py teach --config training/configs/teach-filter.yaml``
``python training/filter_false_positives.py apply --config training/configs/apply-filter.yaml``

Dotted overrides follow. Teaching prints what the filter does to held-out patients.
"""

from __future__ import annotations

from napari_histoaug.segmentation.filter_scripts import filter_false_positives

if __name__ == "__main__":
    raise SystemExit(filter_false_positives())
