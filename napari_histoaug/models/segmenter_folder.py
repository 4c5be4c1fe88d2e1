"""A segmenter on disk: ``segmenter_index.json`` beside ``unet/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_histoaug.models.checkpoints import (
    CONFIG,
    WEIGHTS,
    ModelError,
    load_segmenter,
    read_json,
    save_network,
    sha256_of,
    told_when_invalid,
    write_json,
)
from napari_histoaug.models.segmentation_networks import SegmentationNetwork
from napari_histoaug.models.sums import write_sums

INDEX = "segmenter_index.json"


class SegmenterIndex(BaseModel):
    """``segmenter_index.json``: what a segmenter knows besides its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    classes: tuple[str, ...]
    mpp: tuple[float, float] = Field(description="micrometres per pixel it was taught at, (y, x)")
    patch: int = Field(512, ge=64, multiple_of=64, description="side of its windows, pixels")
    thresholds: tuple[float, ...] = Field(
        description="probability from which a pixel counts, a class; tuned on validation slides"
    )
    attribution: str = ""

    @model_validator(mode="after")
    def _one_threshold_a_class(self) -> SegmenterIndex:
        if len(self.thresholds) != len(self.classes):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.classes)} classes")
        if not all(0 < threshold < 1 for threshold in self.thresholds):
            raise ValueError("a threshold must lie between 0 and 1")
        return self


@dataclass(frozen=True)
class SegmenterParts:
    """A segmenter folder, loaded; `sha256` is that of its files."""

    index: SegmenterIndex
    unet: SegmentationNetwork
    sha256: str


def save_segmenter(
    folder: Path,
    index: SegmenterIndex,
    unet: SegmentationNetwork,
    *,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a segmenter folder and its hashes; weights in half precision unless told otherwise."""
    save_network(unet, folder / "unet", dtype=dtype)
    # The index comes last: a folder that has one is complete.
    write_json(
        folder / INDEX, {"_class_name": "HistoaugSegmenter", **index.model_dump(mode="json")}
    )
    write_sums(folder)


def load_segmenter_parts(folder: Path) -> SegmenterParts:
    """Read a segmenter folder.

    Raises
    ------
    ModelError
        When something is missing, damaged, or does not fit; one sentence that names the file.
    """
    if not folder.is_dir():
        raise ModelError(f"The model folder {folder} does not exist; choose another one.")
    content = read_json(folder / INDEX)
    content.pop("_class_name", None)
    with told_when_invalid(folder / INDEX):
        index = SegmenterIndex.model_validate(content)
    unet = load_segmenter(folder / "unet")
    if unet.config.classes != len(index.classes):
        raise ModelError(
            f"In {folder} the network knows {unet.config.classes} classes, but {INDEX} names "
            f"{len(index.classes)}; the parts do not belong together."
        )
    files = [folder / INDEX, *(folder / "unet" / name for name in (CONFIG, WEIGHTS))]
    return SegmenterParts(index, unet, sha256_of(files))
