"""Recognising that memory ran out, whichever device says so."""

from __future__ import annotations

import torch

# CUDA has an error type of its own; Metal and the processor's allocator only have these words.
_WORDS = ("out of memory", "can't allocate memory")


def ran_out(error: RuntimeError) -> bool:
    """Whether an error of torch means that a device has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error) for w in _WORDS)


def release(device: torch.device) -> None:
    """Hand the memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
