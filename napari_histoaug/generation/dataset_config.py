"""What ``generate_dataset.py`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from napari_histoaug.generation.donors import STRENGTH
from napari_histoaug.learning.config import Section


class SourceConfig(Section):
    """The tissue to start from."""

    tiles: Path = Field(description="folder of fields named <case>_x<X>_y<Y>.jpg")
    labels: Path | None = Field(None, description="folder of label maps, same stems, .png")
    cases: tuple[str, ...] = Field(description="training cases only: never those to test on")
    mpp: float | None = Field(None, gt=0, description="if it differs from the generator's")


class PlacingConfig(Section):
    """Which holes are painted into tissue, and where."""

    shapes: Literal["blobs", "vessels"] = Field(
        "blobs", description="smooth outlines of `radius`, or varied outlines of real vessels"
    )
    diameter: tuple[float, float] = Field(
        (10.0, 80.0), description="of shapes of real vessels, micrometres"
    )
    stretch: float = Field(0.2, ge=0, lt=1, description="largest relative change of an axis")
    elastic: float = Field(
        0.1, ge=0, le=0.5, description="displacement of an outline, in radii of the vessel"
    )
    clearance: float = Field(6.0, ge=0, description="pixels to the nearest vessel")
    least_tissue: float = Field(0.0, ge=0, le=1, description="share of tissue, not glass, in it")
    most: int = Field(1, ge=1, description="vessels a pair, at most")
    target_share: float | None = Field(
        None, gt=0, lt=1, description="vessels are added to a pair until so much of it is vessel"
    )

    @model_validator(mode="after")
    def _ordered(self) -> PlacingConfig:
        if not 0 < self.diameter[0] <= self.diameter[1]:
            raise ValueError("the diameters must be positive, the smaller first")
        return self


class DatasetConfig(Section):
    """``generate_dataset.py``."""

    out: Path
    count: int = Field(ge=1, description="pairs in all")
    kind: Literal["synthetic", "inpainted", "removed"] = "inpainted"
    source: SourceConfig
    size: int = Field(256, ge=64, description="side of a pair, pixels")
    label: str = Field("blood_vessel", description="what is painted into a hole, or taken out")
    radius: tuple[float, float] = Field((12.0, 48.0), description="of blobs, pixels")
    placing: PlacingConfig = PlacingConfig()
    donors: Path | None = Field(
        None, description="folder of real vessels to start from; histoaug donors makes one"
    )
    strength: float = Field(STRENGTH, gt=0, le=1, description="how far a donor is noised")
    model: str | None = Field(None, description="name or folder; the bundled one if omitted")
    data_set: str | None = Field(
        None, description="of those the model was taught on, the one whose look is wanted"
    )
    device: str = "auto"
    method: str = Field("pixel-time", description="pixel-time, repaint, langevin, or a preset")
    steps: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    shard: str = Field("1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="part of the work")
