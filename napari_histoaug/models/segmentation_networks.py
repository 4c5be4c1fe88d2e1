"""The networks a segmenter can have, told apart by ``kind`` in configurations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from napari_histoaug.models.segmentation_unet import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.smp_unet import SmpUNet, SmpUNetConfig

SegmentationNetwork = SegmentationUNet | SmpUNet


def _kind(given: Any) -> str:
    if isinstance(given, SmpUNetConfig):
        return "smp-unet"
    return str(given.get("kind", "attention-unet")) if isinstance(given, dict) else "attention-unet"


SegmentationNetworkConfig = Annotated[
    Annotated[SegmentationUNetConfig, Tag("attention-unet")]
    | Annotated[SmpUNetConfig, Tag("smp-unet")],
    Discriminator(_kind),
]


def build_segmentation_network(
    config: SegmentationUNetConfig | SmpUNetConfig,
) -> SegmentationNetwork:
    """Make an untaught network of the described shape."""
    return SmpUNet(config) if isinstance(config, SmpUNetConfig) else SegmentationUNet(config)
