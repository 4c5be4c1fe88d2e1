"""Where to look, and what leaves: patches with their manifest, image and mask pairs of edits."""

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.geometry import context_box
from napari_histoaug.patches.leakage import Leakage, leakage
from napari_histoaug.patches.pairs import PairError, PairRow, export_pair, read_manifest
from napari_histoaug.patches.settings import PatchSettings, TissueSettings
from napari_histoaug.patches.splits import assign_splits, check_splits

__all__ = [
    "Leakage",
    "PairError",
    "PairRow",
    "PatchError",
    "PatchSettings",
    "TissueSettings",
    "assign_splits",
    "check_splits",
    "context_box",
    "export_pair",
    "leakage",
    "read_manifest",
]
