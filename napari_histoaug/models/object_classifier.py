"""A small network that says of one found object whether it is real."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_histoaug.models.blocks import groups_for


class ObjectClassifierConfig(BaseModel):
    """The shape of an :class:`ObjectClassifier`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(16, ge=4, description="channels of the first stage")
    stages: int = Field(4, ge=1, le=6, description="halvings of the size, doubling the channels")
    side: int = Field(64, ge=16, multiple_of=16, description="pixels of a crop")
    threshold: float = Field(
        0.5, ge=0, le=1, description="probability below which an object is dropped"
    )
    classes: tuple[str, ...] = Field((), description="whose objects it was taught on")


class ObjectClassifier(nn.Module):
    """Convolutions, their mean over the crop, one logit.

    Parameters
    ----------
    config : ObjectClassifierConfig
    """

    def __init__(self, config: ObjectClassifierConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs = 4
        for stage in range(config.stages):
            width = config.width * 2**stage
            layers += [
                nn.Conv2d(inputs, width, 3, 2, 1, bias=False),
                nn.GroupNorm(groups_for(width), width),
                nn.ReLU(inplace=True),
            ]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.leave = nn.Linear(inputs, 1)

    def forward(self, crop: Tensor) -> Tensor:
        """Logits (B,) of crops (B, 4, side, side): RGB in [-1, 1] and the mask, 0 or 1."""
        found: Any = self.leave(self.features(crop).mean((2, 3)))
        return torch.squeeze(found, 1)
