"""How networks are taught: data, one loop, exact resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_histoaug.learning.patch_data import PatchDataset, TileSampler

__all__ = ["PatchDataset", "TileSampler"]


def __getattr__(name: str) -> Any:
    # Extracting patches lives here, too, and its workers need no torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_histoaug.learning import patch_data

    return getattr(patch_data, name)
