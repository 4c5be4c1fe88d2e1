"""Training tissue: pieces of it with label maps, cut at random, reproducibly.

All sources share one way of cutting: pixels (turned and mirrored as they are cut) and cached
latents (turned before encoding, since an autoencoder does not commute with turning). Fields of view
are held in memory; patches of a manifest are read as they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_histoaug.errors import HistoaugError

RIM = 128  # added to a label where generated pixels were feathered into real tissue
VESSEL_GRID = 16  # px; how finely positions on labelled tissue are remembered


class TissueError(HistoaugError):
    """Training tissue that is missing or does not fit together."""


def case_of(path: Path) -> str:
    """Return the case a field belongs to: its stem up to ``_x<X>_y<Y>``."""
    return path.stem.rsplit("_x", 1)[0]


def find_fields(folder: Path, cases: Sequence[str]) -> list[Path]:
    """List the fields (.jpg, .png) of the named cases, in a fixed order.

    Raises
    ------
    TissueError
        When the folder is missing or a case has no field in it.
    """
    if not folder.is_dir():
        raise TissueError(f"The tissue folder {folder} does not exist; pass data.tiles=FOLDER.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".png"})
    found = [p for p in paths if case_of(p) in set(cases)]
    missing = sorted(set(cases) - {case_of(p) for p in found})
    if missing:
        raise TissueError(f"{folder} holds no field of the case {missing[0]}; check data.cases.")
    return found


def read_field(
    path: Path, labels: Path | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read a field and its label map.

    Returns
    -------
    image : uint8, (H, W, 3)
    labels : uint8, (H, W)
        0 = background, 1 + class index elsewhere; all 0 when `labels` is None.

    Raises
    ------
    TissueError
        When a file is missing or the sizes differ.
    """
    try:
        image = np.asarray(Image.open(path).convert("RGB"))
        if labels is None:
            return image, np.zeros(image.shape[:2], np.uint8)
        mask = np.asarray(Image.open(labels / f"{path.stem}.png").convert("L"))
    except OSError as error:
        raise TissueError(
            f"{path.stem} cannot be read ({error}); propose its labels first."
        ) from None
    if mask.shape != image.shape[:2]:
        raise TissueError(
            f"The labels of {path.stem} are {mask.shape}, the field is {image.shape[:2]}."
        )
    return image, mask


def turn(array: npt.NDArray[np.generic], which: int) -> npt.NDArray[np.generic]:
    """Apply one of the eight turns and mirrorings of the square to axes 0 and 1."""
    turned = np.rot90(array, which % 4)
    return np.ascontiguousarray(turned[:, ::-1] if which >= 4 else turned)


@dataclass(frozen=True)
class Region:
    """A piece of tissue: `state` (H / factor, W / factor, C) and `labels` (H, W) uint8.

    `data_set` is 1 + the index of the data set it belongs to, 0 where there is only one.
    """

    state: npt.NDArray[np.generic]
    labels: npt.NDArray[np.uint8]
    data_set: int = 0


class Regions(Protocol):
    """Regions in a fixed order: a list, or something that reads each when it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Region: ...
    def __iter__(self) -> Iterator[Region]: ...


@dataclass(frozen=True)
class Facts:
    """What is known of all regions together, without reading each.

    Attributes
    ----------
    labelled : int64, (n,)
        Which regions have labelled pixels.
    smallest : int
        Shortest side of any, label pixels.
    channels : int
        Of the state.
    values : uint8, (k,)
        Label values that can occur.
    digest : str
        Hash of what decides on every state and label, sha256 (hex).
    """

    labelled: npt.NDArray[np.int64]
    smallest: int
    channels: int
    values: npt.NDArray[np.uint8]
    digest: str


def facts_of(regions: Regions) -> Facts:
    """Read all regions, and say what is known of them together."""
    whole, values = hashlib.sha256(), np.zeros(256, np.int64)
    for region in regions:
        values += np.bincount(region.labels.ravel(), minlength=256)
        for array in (region.state, region.labels):
            whole.update(np.ascontiguousarray(array).tobytes())
    return Facts(
        labelled=np.array([i for i, r in enumerate(regions) if len(_spots(r))], np.int64),
        smallest=min(min(region.labels.shape) for region in regions),
        channels=int(regions[0].state.shape[2]),
        values=np.flatnonzero(values).astype(np.uint8),
        digest=whole.hexdigest(),
    )


class Tissue:
    """Regions to cut training examples from.

    Parameters
    ----------
    regions : Regions
        uint8 RGB states (pixels) or floating ones (latents).
    factor : int
        Label pixels a cell of the state covers, along each axis; 1 for pixels.
    vessel_share : float
        Share of cuts that are centred on labelled tissue.
    facts : Facts, optional
        Found by reading every region when not given.
    """

    def __init__(
        self,
        regions: Regions,
        factor: int = 1,
        vessel_share: float = 0.6,
        facts: Facts | None = None,
    ) -> None:
        if not len(regions):
            raise TissueError("There is no training tissue to cut from.")
        self.regions = regions
        self.factor = factor
        self.vessel_share = vessel_share
        self.facts = facts_of(regions) if facts is None else facts

    def check(self, size: int, cell: int, classes: int) -> None:
        """See that examples of `size` px can be cut, in whole cells, with known labels.

        Raises
        ------
        TissueError
            When they cannot.
        """
        self.check_size(size, cell)
        largest = int(self.facts.values.max())
        if largest > classes:
            raise TissueError(
                f"The label maps hold the value {largest}, but data.classes names {classes} "
                f"{'class' if classes == 1 else 'classes'}; name them all, in that order."
            )

    def check_size(self, size: int, cell: int) -> None:
        """See that examples of `size` px can be cut, in whole cells; see :meth:`check`."""
        if size % cell:
            raise TissueError(
                f"data.crop={size} does not fit this network; use a multiple of {cell}."
            )
        if size > self.facts.smallest:
            raise TissueError(
                f"data.crop={size} is larger than the smallest piece of tissue, "
                f"{self.facts.smallest} px; use a smaller one."
            )

    def cut(
        self, rng: np.random.Generator, size: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Cut one example of `size` x `size` label pixels.

        Returns
        -------
        state : float32, (C, size / factor, size / factor)
            Pixels in [-1, 1], or latents as they are.
        labels : uint8, (size, size)
        """
        return self.cut_known(rng, size)[:2]

    def cut_known(
        self, rng: np.random.Generator, size: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], int]:
        """Cut one example as :meth:`cut` does; also returns its data set, see :class:`Region`."""
        region, y, x = self._place(rng, size)
        f = self.factor
        state = region.state[y // f : (y + size) // f, x // f : (x + size) // f]
        labels = region.labels[y : y + size, x : x + size]
        if state.dtype == np.uint8:
            which = int(rng.integers(8))
            state, labels = turn(state, which), turn(labels, which).astype(np.uint8)
            pixels = np.moveaxis(state, 2, 0).astype(np.float32) / 127.5 - 1
            return pixels, labels, region.data_set
        return np.moveaxis(state, 2, 0).astype(np.float32), labels, region.data_set

    def _place(self, rng: np.random.Generator, size: int) -> tuple[Region, int, int]:
        labelled = self.facts.labelled
        centred = len(labelled) > 0 and rng.random() < self.vessel_share
        region = self.regions[
            int(rng.choice(labelled) if centred else rng.integers(len(self.regions)))
        ]
        height, width = region.labels.shape
        spots = _spots(region) if centred else np.zeros((0, 2), np.int64)
        if len(spots):
            cy, cx = spots[rng.integers(len(spots))]
            y, x = np.array([cy, cx]) - size // 2 + rng.integers(-size // 4, size // 4 + 1, 2)
        else:
            y, x = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
        y, x = int(np.clip(y, 0, height - size)), int(np.clip(x, 0, width - size))
        return region, y - y % self.factor, x - x % self.factor


def _spots(region: Region) -> npt.NDArray[np.int64]:
    """Positions (y, x) on labelled tissue, on a grid of `VESSEL_GRID` px."""
    return np.argwhere(region.labels[::VESSEL_GRID, ::VESSEL_GRID] > 0) * VESSEL_GRID


def pixel_tissue(
    tiles: Path,
    labels: Path | None,
    cases: Sequence[str],
    vessel_share: float = 0.6,
    data_sets: Mapping[str, int] | None = None,
) -> Tissue:
    """Read every field of `cases` as pixels; `data_sets` says which one a case belongs to."""
    known = data_sets or {}
    regions = [
        Region(*read_field(path, labels), known.get(case_of(path), 0))
        for path in find_fields(tiles, cases)
    ]
    return Tissue(regions, vessel_share=vessel_share)
