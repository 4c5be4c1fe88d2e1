"""What ``evaluate.py`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SegmentationEvaluation(_Section):
    """``evaluate.py segmentation``."""

    slides: Path | None = Field(None, description="slides with annotations; docs/patches.md")
    predictions: Path | None = Field(None, description="what predict_slides.py wrote for them")
    pairs: Path | None = Field(
        None, description="instead: CSV of truth, prediction and, if wanted, patient"
    )
    out: Path
    split: str = Field("held-out", description="name of the set, printed with every figure")
    classes: tuple[str, ...] | None = Field(None, description="the predictions' own if omitted")
    complete: bool = Field(
        False, description="what is not outlined is background; else only Region* counts"
    )
    least_iou: float = Field(0.5, gt=0, le=1, description="from which overlap an object is found")
    error_maps: bool = Field(False, description="write an OME-Zarr error map a slide")
    palette: Literal["thesis", "colour-blind safe"] = "thesis"
    draws: int = Field(2000, ge=100, description="bootstrap resamples of the patients")
    seed: int = 0

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> SegmentationEvaluation:
        if (self.pairs is None) == (self.slides is None or self.predictions is None):
            raise ValueError("give slides and predictions, or pairs")
        return self


class ImageEvaluation(_Section):
    """``evaluate.py images``."""

    real: Path = Field(description="folder of real pictures")
    generated: Path = Field(description="folder of generated pictures")
    holes: Path | None = Field(
        None, description="masks of what was generated, same names: crops, seams, sharpness"
    )
    out: Path
    split: str = Field("held-out", description="name of the real set, printed with every figure")
    extractor: str = Field(
        "auto", description="inception, timm:<name>, tissue, efficientnet-lite1; auto"
    )
    weights: Path | None = Field(None, description="of the extractor: safetensors or state dict")
    resize: int | None = Field(None, ge=16, description="side of pictures for the extractor")
    lpips: Literal["tissue", "alex", "vgg"] | None = Field(
        None, description="compare pictures of the same name"
    )
    lpips_weights: Path | None = None
    lpips_heads: Path | None = None
    neighbours: int = Field(3, ge=1, description="of precision and recall of distributions")
    draws: int = Field(50, ge=10, description="resamples for intervals")
    seed: int = 0
