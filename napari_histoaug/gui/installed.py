"""Models on this machine, found without loading torch: packaged ones and those added here."""

from __future__ import annotations

from pathlib import Path

import platformdirs

BUNDLED = "bundled"
_PACKAGED = Path(__file__).parents[1] / "models"


def installed(kind: str, index: str) -> dict[str, Path]:
    """Names and folders of the models of a kind, the packaged ones first.

    Parameters
    ----------
    kind : {"generators", "segmenters"}
    index : str
        The file that makes a folder one of them.
    """
    roots = _PACKAGED / kind, platformdirs.user_data_path("napari-histoaug") / kind
    folders = [path for root in roots if root.is_dir() for path in sorted(root.iterdir())]
    found: dict[str, Path] = {}
    for folder in folders:
        if (folder / index).is_file():
            found.setdefault(folder.name, folder)
    return found
