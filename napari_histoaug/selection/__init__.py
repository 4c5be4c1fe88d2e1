"""Which generated pairs to keep: realism, agreement and copy checks."""

from napari_histoaug.selection.agreement import agreement, made_region, share_left
from napari_histoaug.selection.config import SelectionConfig
from napari_histoaug.selection.copies import nearest_likeness
from napari_histoaug.selection.crops import hole_crop
from napari_histoaug.selection.realism import realism

__all__ = [
    "SelectionConfig",
    "agreement",
    "hole_crop",
    "made_region",
    "nearest_likeness",
    "realism",
    "share_left",
]
