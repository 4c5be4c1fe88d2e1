"""From which scores on a generated pair is kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SelectionConfig(BaseModel):
    """Thresholds of the three checks; a check with its threshold at the end drops nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_agreement: float = Field(
        0.2, ge=0, le=1, description="Dice of a segmenter of real tissue with the painted mask"
    )
    most_left: float = Field(
        0.5, ge=0, le=1, description="share of a removed vessel that it may still call a vessel"
    )
    least_realism: float = Field(
        0.02, ge=0, le=1, description="probability of being real, of a classifier not taught on it"
    )
    most_alike: float = Field(
        0.98, ge=-1, le=1, description="correlation with the nearest real vessel of training"
    )
    steps: int = Field(200, ge=1, description="of the classifier of real and generated holes")
    seed: int = 0
