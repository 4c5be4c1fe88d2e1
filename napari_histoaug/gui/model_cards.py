"""The generators on this machine and what they say of themselves, read without loading torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from napari_histoaug.gui.installed import BUNDLED, installed

_INDEX = "model_index.json"


@dataclass(frozen=True)
class ModelCard:
    """What a generator folder says.

    Attributes
    ----------
    name : str
    folder : Path
    classes : tuple of str
    mpp : (float, float)
        Micrometres per pixel it works at.
    patch : int
        Side it was taught at, pixels.
    attribution : str
        What it was taught on, and whose that is.
    bytes : int
        Of the folder.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    mpp: tuple[float, float]
    patch: int
    attribution: str
    bytes: int

    @property
    def text(self) -> str:
        """For a reader."""
        classes = ", ".join(name.replace("_", " ") for name in self.classes)
        size = self.patch * self.mpp[0]
        facts = (
            f"{self.name}: {classes}; {self.mpp[0]:.3g} µm a pixel, "
            f"taught on {size:.0f} µm wide fields, {self.bytes / 1e6:.0f} MB."
        )
        return f"{facts}\n{self.attribution}" if self.attribution else facts


def known_models() -> dict[str, Path]:
    """Names and folders of the bundled generator and of those trained or added here."""
    return installed("generators", _INDEX)


def read_card(model: str | None) -> ModelCard | str:
    """The card of a generator given by name or folder, or a sentence why there is none."""
    name = model or BUNDLED
    folder = known_models().get(name, Path(name).expanduser())
    if not (folder / _INDEX).is_file():
        return f"There is no model {name}: choose a folder with a {_INDEX}, as training writes it."
    try:
        said = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        return ModelCard(
            str(said["name"]),
            folder,
            tuple(said["classes"]),
            (float(said["mpp"][0]), float(said["mpp"][1])),
            int(said.get("patch", 256)),
            str(said.get("attribution", "")),
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return f"The model in {folder} cannot be read: copy or train it again."
