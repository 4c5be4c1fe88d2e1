"""Patches of a manifest as training tissue: each is read when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_histoaug.learning.config import ConfigError, DataConfig
from napari_histoaug.learning.patch_data import PatchDataset
from napari_histoaug.learning.tissue import Facts, Region, Tissue
from napari_histoaug.patches.manifest import read_info

MANIFEST = "manifest.parquet"
Which = Literal["real", "generated", "all"]


class PatchRegions:
    """Some patches of a data set as regions; memory holds those that are being used.

    Parameters
    ----------
    data : PatchDataset
    numbers : int64, (n,)
        Which of its patches.
    """

    def __init__(self, data: PatchDataset, numbers: npt.NDArray[np.int64]) -> None:
        self.data, self.numbers = data, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Region:
        image, mask = self.data[int(self.numbers[index])]
        return Region(np.moveaxis(image.numpy(), 0, 2), mask.numpy().astype(np.uint8))

    def __iter__(self) -> Iterator[Region]:
        return (self[index] for index in range(len(self)))


def manifest_path(data: DataConfig) -> Path:
    """Where the configured manifest is: a folder, or the file itself."""
    assert data.manifest is not None
    return data.manifest if data.manifest.suffix == ".parquet" else data.manifest / MANIFEST


def told_by_manifest(data: DataConfig) -> DataConfig:
    """Take the classes and the pixel size from the manifest, if there is one.

    Raises
    ------
    ConfigError
        When other classes, or another pixel size, are asked for.
    PatchError
        When the manifest cannot be read.
    """
    if data.manifest is None:
        return data
    names = read_info(manifest_path(data)).classes.names
    if "classes" in data.model_fields_set and data.classes != names:
        raise ConfigError(
            f"The manifest's classes are {', '.join(names)}, not {', '.join(data.classes)}; leave "
            "data.classes out."
        )
    mpp = open_patches(data, data.split.train).mpp or data.mpp
    if "mpp" in data.model_fields_set and data.mpp != mpp:
        raise ConfigError(
            f"The patches of the manifest are at {mpp} µm a pixel, not {data.mpp}; leave data.mpp "
            "out, or extract at data.mpp."
        )
    return data.model_copy(update={"classes": names, "mpp": mpp})


def open_patches(data: DataConfig, split: str, which: Which = "all") -> PatchDataset:
    """Open a set of the manifest."""
    return PatchDataset(
        manifest_path(data),
        slides=data.slides,
        annotations=data.annotations,
        form=data.form,
        split=split,
        synthetic=which != "real",
        rim=which == "generated",
    )


def patch_tissue(data: DataConfig, split: str, which: Which = "real", most: int = 0) -> Tissue:
    """Make training tissue of a set of the manifest.

    Parameters
    ----------
    which : {"real", "generated", "all"}
        Patches without generated pixels, with some, or both. The rims of generated ones are marked
        when they are alone.
    most : int
        Take so many at most, evenly spaced; 0 for all.

    Raises
    ------
    ConfigError
        When there are no such patches.
    """
    patches = open_patches(data, split, which)
    wanted = patches.generated if which == "generated" else np.ones(len(patches), bool)
    numbers = np.flatnonzero(wanted)
    if not len(numbers):
        kind = "" if which == "all" else f" {which}"
        raise ConfigError(
            f"The set {split!r} of {manifest_path(data)} has no{kind} patch; extract some, or "
            "choose another set with data.split."
        )
    if 0 < most < len(numbers):
        numbers = numbers[np.linspace(0, len(numbers) - 1, most).astype(np.int64)]
    facts = Facts(
        labelled=np.flatnonzero(patches.labelled[numbers]),
        smallest=patches.settings.size,
        channels=3,
        values=np.arange(len(patches.classes) + 1, dtype=np.uint8),
        digest=_digest(manifest_path(data), f"{split} {which} {most}"),
    )
    return Tissue(PatchRegions(patches, numbers), vessel_share=data.vessel_share, facts=facts)


def _digest(manifest: Path, which: str) -> str:
    # The manifest holds the hashes of slides, annotations and settings: all that decides.
    with manifest.open("rb") as file:
        return hashlib.sha256(
            hashlib.file_digest(file, "sha256").digest() + which.encode()
        ).hexdigest()
