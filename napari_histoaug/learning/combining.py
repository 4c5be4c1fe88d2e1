"""Several data sets in one folder of fields: one pixel size, one class table, names kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from pydantic import Field, model_validator

from napari_histoaug.learning.command_line import exit_code, new_parser, say
from napari_histoaug.learning.config import ConfigError, Section
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.tissue import case_of, find_fields, read_field

TILES, LABELS, NAMES = "tiles", "labels", "data-sets.yaml"
SAME_SIZE = 0.02  # pixel sizes closer than this share are taken as equal

Pixels = npt.NDArray[np.uint8]


class MemberConfig(Section):
    """One of the data sets."""

    tiles: Path = Field(description="folder of fields named <case>_x<X>_y<Y>")
    labels: Path | None = Field(None, description="folder of label maps, same stems, .png")
    cases: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field((), description="of its label maps, in their order")
    mpp: float = Field(gt=0, description="micrometres per pixel of its fields")


class CombineConfig(Section):
    """``combine_data_sets.py``."""

    out: Path
    mpp: float = Field(0.5, gt=0, description="of the combined fields")
    classes: tuple[str, ...] = Field(min_length=1, description="of the combined label maps")
    rename: dict[str, str] = Field(
        default_factory=dict, description="class of a data set: that of the combined ones"
    )
    sets: dict[str, MemberConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_classes(self) -> CombineConfig:
        unknown = sorted(set(self.rename.values()) - set(self.classes))
        if unknown:
            raise ValueError(f"rename leads to {unknown[0]}, which is none of classes")
        return self

    def values_of(self, member: MemberConfig) -> Pixels:
        """Combined label value of each label value of a member, uint8 (256,).

        A class that the combined ones do not have becomes background.
        """
        values = np.zeros(256, np.uint8)
        for value, name in enumerate(member.classes, start=1):
            wanted = self.rename.get(name, name)
            if wanted in self.classes:
                values[value] = 1 + self.classes.index(wanted)
        return values


def combine_data_sets(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/combine_data_sets.py``; returns the exit code."""
    given = new_parser("Combine data sets in one folder.", "mpp=1.0").parse_args(arguments)

    def whole() -> int:
        config = load_config(CombineConfig, given.config, given.overrides)
        say(f"written: {combine(config, say)}")
        return 0

    return exit_code(whole, "Stopped; the same command goes on where this one was.")


def combine(config: CombineConfig, tell: Callable[[str], None] = lambda line: None) -> Path:
    """Write the fields of all data sets; returns the file that names their cases.

    A case of the set ``breast`` is called ``breast.<case>`` from here on. Fields that are there
    already are left alone.

    Raises
    ------
    ConfigError
        When a label map holds a value that its data set does not name.
    TissueError
        When a field cannot be read.
    """
    for folder in (TILES, LABELS):
        (config.out / folder).mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {}
    for name, member in config.sets.items():
        fields = find_fields(member.tiles, member.cases)
        for path in fields:
            if not (config.out / TILES / f"{name}.{path.stem}.png").exists():
                _write(config, name, member, path)
        names[name] = sorted({f"{name}.{case_of(path)}" for path in fields})
        tell(f"{name}: {len(fields)} fields")
    # What train_diffusion.py is told as data.data_sets.
    written = config.out / NAMES
    written.write_text(yaml.safe_dump({"data_sets": names}, sort_keys=False), "utf-8")
    return written


def _write(config: CombineConfig, name: str, member: MemberConfig, path: Path) -> None:
    image, labels = read_field(path, member.labels)
    if labels.max() > len(member.classes):
        raise ConfigError(
            f"The label map of {path.stem} holds the value {labels.max()}, but sets.{name}.classes "
            f"names {len(member.classes)}; name them all, in that order."
        )
    labels = config.values_of(member)[labels]
    factor = member.mpp / config.mpp
    if abs(factor - 1) > SAME_SIZE:
        size = tuple(max(1, round(n * factor)) for n in (image.shape[1], image.shape[0]))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
        labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    # The picture comes last: a field that has one is complete.
    for folder, array in ((LABELS, labels), (TILES, image)):
        target = config.out / folder / f"{name}.{path.stem}.png"
        part = target.with_name(f"{target.name}.part")
        Image.fromarray(array).save(part, format="PNG")
        part.replace(target)
