"""The segmenters on this machine and what they say of themselves, read without loading torch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from napari_histoaug.gui.installed import BUNDLED, installed

_INDEX = "segmenter_index.json"
NO_TORCH = (
    "Finding and comparing need PyTorch, which is not installed: close napari, run "
    "pip install torch, and start again."
)


def known_segmenters() -> dict[str, Path]:
    """Names and folders of the bundled segmenter and of those trained or added here."""
    return installed("segmenters", _INDEX)


def no_torch() -> str | None:
    """What is not installed and how to add it, or None."""
    return NO_TORCH if importlib.util.find_spec("torch") is None else None


def missing(model: str | None) -> str | None:
    """What is not there of a segmenter given by name or folder (None: the bundled one), or None."""
    if (reason := no_torch()) is not None:
        return reason
    if _folder(model) is not None:
        return None
    if model is None:
        return (
            "There is no segmenter yet: choose the folder of one that "
            "training/train_segmentation.py wrote."
        )
    return f"There is no segmenter in {model}: choose a folder with a {_INDEX}."


def said(model: str | None) -> str:
    """What a segmenter finds, in a line; empty when it cannot be read."""
    folder = _folder(model)
    if folder is None:
        return ""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        classes = ", ".join(str(name).replace("_", " ") for name in index["classes"])
        return f"Finds {classes} at {float(index['mpp'][0]):.3g} µm a pixel."
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return f"The segmenter in {folder} cannot be read: copy or train it again."


def _folder(model: str | None) -> Path | None:
    name = model or BUNDLED
    folder = known_segmenters().get(name, Path(name).expanduser())
    return folder if (folder / _INDEX).is_file() else None
