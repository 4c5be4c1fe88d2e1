"""This process among those that accelerate's or torch's launcher began, and its memory."""

from __future__ import annotations

import ctypes
import platform

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def on_cpu() -> bool:
    """Whether processes compute on the CPU: it is asked for, or there is nothing else.

    Unless told, accelerate takes several processes without a GPU for so many separate runs.
    """
    return bool(parse_flag_from_env("ACCELERATE_USE_CPU")) or not torch.accelerator.is_available()


def this_process() -> PartialState:
    """Index, number and device of the processes that share the work."""
    return PartialState(cpu=on_cpu())


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory for what comes next; returns whether it will.

    Every step of a training on a CPU makes and frees the same large tensors. Left to itself, glibc
    hands their memory back to the system and is given it anew, page by page: a tenth of the time.
    Other libraries than glibc are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1))
