"""Memory layout."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def channels_last(module: AnyModule) -> AnyModule:
    """Put a network's weights into the layout in which convolutions are fastest; returns it."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
