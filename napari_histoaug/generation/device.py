"""Which device to work on, and in which number format."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from napari_histoaug.models.checkpoints import ModelError


def available_devices() -> list[str]:
    """Names of the devices that work here, the fastest first; "cpu" is always among them."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(name: str = "auto") -> torch.device:
    """Return the asked-for device, or the fastest one for "auto".

    Raises
    ------
    ModelError
        When the device does not exist here.
    """
    usable = available_devices()
    if name == "auto":
        return torch.device(usable[0])
    if name.split(":")[0] not in usable:
        raise ModelError(f"There is no device {name!r} here; usable are {', '.join(usable)}.")
    return torch.device(name)


def leave_a_core() -> None:
    """Let torch work on all processor cores but one, which stays with the window.

    The threads of one operation wait for the slowest of them. When each has a core and the window
    or another program wants one as well, every operation waits for the scheduler: on two cores that
    made an inpaint five times slower than a single thread.
    """
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))


def half_type(device: torch.device) -> torch.dtype | None:
    """The half-precision type that makes `device` faster, or None.

    On a CPU bfloat16 only pays where the processor has instructions for it.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "mps":
        return torch.float16
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else None


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Autocast to :func:`half_type`, or do nothing where there is none."""
    half = half_type(device)
    return torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None)
