"""This process among those that accelerate's or torch's launcher began."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def on_cpu() -> bool:
    """Whether processes compute on the CPU: it is asked for, or there is nothing else.

    Unless told, accelerate takes several processes without a GPU for so many separate runs.
    """
    return bool(parse_flag_from_env("ACCELERATE_USE_CPU")) or not torch.accelerator.is_available()


def this_process() -> PartialState:
    """Index, number and device of the processes that share the work."""
    return PartialState(cpu=on_cpu())
