"""Latents of the patches of a manifest: computed once, kept on disk, mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accelerate import PartialState

from napari_histoaug.learning.latents import (
    Progress,
    claim,
    encode_pieces,
    measure,
    write_array,
)
from napari_histoaug.learning.tissue import Facts, Region, Tissue, TissueError, turn
from napari_histoaug.models import LatentStatistics
from napari_histoaug.models.autoencoders import Autoencoder

CHUNK = 256  # patches a file
MAPPED = 64  # files mapped at once
MEASURED = 32  # files that the statistics are measured on


class LatentPatches:
    """Cached latents as regions.

    Parameters
    ----------
    folder : Path
        The cache.
    name : str
        Of the tissue; see :func:`cache_patch_latents`.
    count : int
        Patches of a copy.
    copies : int
    statistics : LatentStatistics
        What latents are normalised by.
    """

    def __init__(
        self, folder: Path, name: str, count: int, copies: int, statistics: LatentStatistics
    ) -> None:
        self.folder, self.name, self.count, self.copies = folder, name, count, copies
        self._mean, self._std = (
            np.array(part, np.float32) for part in (statistics.mean, statistics.std)
        )

    def __len__(self) -> int:
        return self.count * self.copies

    def __getitem__(self, index: int) -> Region:
        copy, number = divmod(index, self.count)
        chunk, at = divmod(number, CHUNK)
        states, labels = (
            _mapped(path)[at] for path in chunk_paths(self.folder, self.name, copy, chunk)
        )
        return Region((states.astype(np.float32) - self._mean) / self._std, labels)

    def __iter__(self) -> Iterator[Region]:
        return (self[index] for index in range(len(self)))


@lru_cache(maxsize=MAPPED)
def _mapped(path: Path) -> npt.NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r"))


def chunk_paths(folder: Path, name: str, copy: int, chunk: int) -> tuple[Path, Path]:
    """Where the latents and the label maps of a chunk of patches are kept."""
    stem = f"{name[:16]}.{copy}.{chunk:06d}"
    return folder / f"{stem}.latents.npy", folder / f"{stem}.labels.npy"


def cache_patch_latents(
    autoencoder: Autoencoder,
    tissue: Tissue,
    folder: Path,
    *,
    copies: int = 1,
    progress: Progress | None = None,
) -> None:
    """Encode the patches of `tissue`, skipping those already there; shared among processes.

    Files are named by the tissue's digest: another manifest gets other files.

    Parameters
    ----------
    tissue : Tissue
        Pixels; see :func:`~napari_histoaug.learning.patch_tissue.patch_tissue`.
    copies : int
        How many differently turned copies of each patch to encode.
    progress : callable, optional
        Called with (done, total) files of this process.

    Raises
    ------
    TissueError
        When the folder holds latents of another autoencoder, or patches do not divide into cells.
    """
    if tissue.facts.smallest % autoencoder.factor:
        raise TissueError(
            f"Patches of {tissue.facts.smallest} px cannot be encoded; extract them with a size "
            f"that is a multiple of {autoencoder.factor}."
        )
    claim(autoencoder, folder)
    state = PartialState()
    chunks = -(-len(tissue.regions) // CHUNK)
    todo = [(copy, chunk) for copy in range(copies) for chunk in range(chunks)]
    mine = todo[state.process_index :: state.num_processes]
    for done, (copy, chunk) in enumerate(mine):
        latents, labels = chunk_paths(folder, tissue.facts.digest, copy, chunk)
        if not latents.exists():
            regions = turned_regions(tissue, copy, chunk)
            write_array(labels, np.stack([region.labels for region in regions]))
            write_array(latents, encode_pieces(autoencoder, [r.state for r in regions]))
        if progress is not None:
            progress(done + 1, len(mine))
    state.wait_for_everyone()


def turned_regions(tissue: Tissue, copy: int, chunk: int) -> list[Region]:
    """Read the patches of a chunk, each turned as its number and the copy decide."""
    turns = np.random.default_rng([copy, chunk]).integers(8, size=CHUNK)
    numbers = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(tissue.regions)))
    regions = []
    for number, which in zip(numbers, turns, strict=False):
        region = tissue.regions[number]
        labels = turn(region.labels, int(which)).astype(np.uint8)
        regions.append(Region(turn(region.state, int(which)), labels))
    return regions


def latent_patch_tissue(
    folder: Path,
    tissue: Tissue,
    factor: int,
    copies: int = 1,
    statistics: LatentStatistics | None = None,
) -> tuple[Tissue, LatentStatistics]:
    """Take the cached latents of `tissue`, normalised by `statistics` (measured here when None)."""
    count, facts = len(tissue.regions), tissue.facts
    chunks = -(-count // CHUNK)
    if statistics is None:
        measured = range(0, chunks, max(1, chunks // MEASURED))
        statistics = measure(
            [_mapped(chunk_paths(folder, facts.digest, 0, n)[0]) for n in measured]
        )
    regions = LatentPatches(folder, facts.digest, count, copies, statistics)
    labelled = np.concatenate([facts.labelled + copy * count for copy in range(copies)])
    channels = len(statistics.mean)
    of_latents = Facts(labelled, facts.smallest, channels, facts.values, facts.digest)
    return Tissue(regions, factor, tissue.vessel_share, of_latents), statistics
