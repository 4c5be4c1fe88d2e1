"""What a patch is: every number that decides which patches a slide has."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.annotations import ClassTable


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TissueSettings(_Section):
    """What counts as tissue; lengths in micrometres, pixels of level 0 where a slide has no mpp."""

    cell: float = Field(8.0, gt=0, description="side of a cell of the tissue mask")
    saturation: float = Field(0.06, ge=0, description="least (max - min) / max of a cell's colour")
    density: float = Field(0.08, ge=0, description="least mean optical density (natural logarithm)")
    entropy: float = Field(1.9, ge=0, description="least grey-value entropy of 5 x 5 cells, bits")
    close: float = Field(16.0, ge=0, description="gaps up to twice this wide are closed")
    hole_area: float = Field(250_000.0, ge=0, description="holes up to this area are filled")
    speck_area: float = Field(5_000.0, ge=0, description="pieces smaller than this are dropped")


class PatchSettings(_Section):
    """Which patches are made.

    Lengths are in pixels of the patches: at `mpp`, or of level 0 when `mpp` is None.
    """

    size: int = Field(256, ge=8, le=4096)
    stride: int = Field(128, ge=1)
    mpp: float | None = Field(None, gt=0, le=20, description="micrometres a pixel; level 0 if none")
    mpp_tolerance: float = Field(
        0.05, ge=0, le=0.5, description="a level this near to mpp is taken as it is"
    )
    border: Literal["drop", "shift", "pad"] = "drop"
    tissue_percent: int = Field(50, ge=0, le=100, description="least share of tissue, %")
    target_percent: int = Field(10, ge=0, le=100, description="least share of a target class, %")
    targets: tuple[str, ...] | None = Field(None, description="target classes; all if none")
    edits: bool = Field(True, description="accepted edits are seen, and counted as synthetic")
    most_damaged: float = Field(
        0.001, ge=0, le=1, description="share of unreadable tissue tiles that stops a slide"
    )
    tissue: TissueSettings = TissueSettings()

    def sha256(self, classes: ClassTable) -> str:
        """Return the hash of everything that decides the patches of a slide."""
        document = {"settings": self.model_dump(mode="json"), "classes": classes.model_dump()}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
