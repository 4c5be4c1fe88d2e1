"""Combine data sets with classes and pixel sizes of their own in one folder of fields.

``python training/combine_data_sets.py --config training/configs/NAME.yaml`` starts, and goes on.
``data-sets.yaml`` in that folder names the cases of each; put it into the ``data`` section of a
configuration of ``train_diffusion.py``, and the network learns what sets them apart.
"""

from __future__ import annotations

from napari_histoaug.learning.combining import combine_data_sets

if __name__ == "__main__":
    raise SystemExit(combine_data_sets())
