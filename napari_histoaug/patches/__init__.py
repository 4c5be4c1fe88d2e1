"""Where to look, and what leaves: image and mask pairs with their manifest."""

from napari_histoaug.patches.geometry import context_box
from napari_histoaug.patches.pairs import PairError, PairRow, export_pair, read_manifest

__all__ = ["PairError", "PairRow", "context_box", "export_pair", "read_manifest"]
