"""Latents of the training tissue, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState
from pydantic import BaseModel

from napari_histoaug.learning.saving import told_when_full
from napari_histoaug.learning.tissue import (
    Region,
    Tissue,
    TissueError,
    case_of,
    read_field,
    turn,
)
from napari_histoaug.models import LatentStatistics
from napari_histoaug.models.autoencoders import Autoencoder
from napari_histoaug.models.checkpoints import read_json, write_json

MAKER = "made_by.json"
PIECE = 512  # px; what is encoded at once
Progress = Callable[[int, int], None]


def pieces_of(array: npt.NDArray[np.uint8], turns: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """Cut a field, or its label map, into `PIECE` squares and turn each as given."""
    height, width = array.shape[:2]
    corners = [
        (y, x)
        for y in range(0, height - PIECE + 1, PIECE)
        for x in range(0, width - PIECE + 1, PIECE)
    ]
    return [
        turn(array[y : y + PIECE, x : x + PIECE], which).astype(np.uint8)
        for (y, x), which in zip(corners, turns, strict=False)
    ]


def turns_of(path: Path, copy: int) -> list[int]:
    """Return the turn of each piece of a field: fixed by the field's name and the copy."""
    rng = np.random.default_rng([copy, zlib.crc32(path.stem.encode())])
    return [int(n) for n in rng.integers(8, size=256)]


def encode_field(autoencoder: Autoencoder, path: Path, copy: int, out: Path) -> None:
    """Encode the pieces of one field into `out`, float16 (n, h, w, C).

    Raises
    ------
    TissueError
        When the field is smaller than a piece.
    """
    image, _ = read_field(path, None)
    pieces = pieces_of(image, turns_of(path, copy))
    if not pieces:
        raise TissueError(
            f"{path.stem} is {image.shape[1]} x {image.shape[0]} pixels; to be learnt as latents, "
            f"fields must be {PIECE} x {PIECE} or larger."
        )
    write_array(out, encode_pieces(autoencoder, pieces))


@torch.no_grad()
def encode_pieces(
    autoencoder: Autoencoder, pieces: Sequence[npt.NDArray[Any]]
) -> npt.NDArray[np.float16]:
    """Encode pieces uint8 (H, W, 3) of one size, one at a time: float16 (n, h, w, C)."""
    latents = []
    device = PartialState().device
    for piece in pieces:
        x = torch.from_numpy(piece).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = x.contiguous(memory_format=torch.channels_last)
        latents.append(autoencoder.encode(x)[0].permute(1, 2, 0).to("cpu", torch.float16).numpy())
    return np.stack(latents)


def write_array(out: Path, array: npt.NDArray[Any]) -> None:
    """Write a .npy file, whole or not at all."""
    temporary = out.with_name(out.name + ".part")
    with told_when_full(out.parent):
        with temporary.open("wb") as file:
            np.save(file, array)
            os.fsync(file.fileno())
        os.replace(temporary, out)


def cache_latents(
    autoencoder: Autoencoder,
    fields: Sequence[Path],
    folder: Path,
    *,
    copies: int = 1,
    progress: Progress | None = None,
) -> None:
    """Encode `fields` into `folder`, skipping what is already there; shared among processes.

    Parameters
    ----------
    copies : int
        How many differently turned copies of each field to encode.
    progress : callable, optional
        Called with (done, total) fields.

    Raises
    ------
    TissueError
        When the folder holds latents of another autoencoder.
    """
    claim(autoencoder, folder)
    state = PartialState()
    todo = [(path, copy) for copy in range(copies) for path in fields]
    mine = todo[state.process_index :: state.num_processes]
    for done, (path, copy) in enumerate(mine):
        out = folder / f"{path.stem}.{copy}.npy"
        if not out.exists():
            encode_field(autoencoder, path, copy, out)
        if progress is not None:
            progress(done + 1, len(mine))
    state.wait_for_everyone()


def claim(autoencoder: Autoencoder, folder: Path) -> None:
    """Make `folder` the cache of this autoencoder, and put that one on this process's device.

    Raises
    ------
    TissueError
        When the folder holds latents of another.
    """
    state = PartialState()
    with told_when_full(folder), state.main_process_first():
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, {"encoder_sha256": encoder_hash(autoencoder), "piece": PIECE})
    autoencoder.to(state.device)


def encoder_hash(autoencoder: Autoencoder) -> str:
    """Hash what decides on latents, sha256 (hex): the shape and every weight but the decoder's."""
    config = getattr(autoencoder, "config", None)
    shape = config.model_dump_json(exclude={"noise"}) if isinstance(config, BaseModel) else ""
    digest = hashlib.sha256(f"{type(autoencoder).__name__} {autoencoder.factor} {shape}".encode())
    for name, tensor in sorted(autoencoder.state_dict().items()):
        if "decoder." not in name:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _claim(folder: Path, maker: dict[str, Any]) -> None:
    """Write down who makes the latents of this folder, or see that it is the same as before."""
    path = folder / MAKER
    if not path.exists() and not any(folder.glob("*.npy")):
        write_json(path, maker)
    elif not path.exists() or read_json(path) != maker:
        raise TissueError(
            f"The latents in {folder} were made by another autoencoder than the one configured; "
            "delete that folder or choose another one with latents=FOLDER."
        )


def measure(latents: Sequence[npt.NDArray[np.float16]]) -> LatentStatistics:
    """Mean and standard deviation a channel of cached latents, each (n, h, w, C)."""
    sample = np.concatenate([x[:, ::4, ::4] for x in latents]).astype(np.float32)
    return LatentStatistics.of(torch.from_numpy(sample).permute(0, 3, 1, 2))


def latent_tissue(
    folder: Path,
    fields: Sequence[Path],
    labels: Path | None,
    factor: int,
    statistics: LatentStatistics | None = None,
    vessel_share: float = 0.6,
    data_sets: Mapping[str, int] | None = None,
) -> tuple[Tissue, LatentStatistics]:
    """Load the cached latents of `fields`, normalised by `statistics` (measured here when None).

    `data_sets` says which data set a case belongs to, see :class:`Region`.
    Label maps are read afresh, so better labels need no new encoding.

    Raises
    ------
    TissueError
        When a field has no latents in the cache.
    """
    cached: list[tuple[Path, int, npt.NDArray[np.float16]]] = []
    for path in fields:
        files = sorted(folder.glob(f"{path.stem}.*.npy"))
        if not files:
            raise TissueError(f"{folder} holds no latents of {path.stem}; encode them first.")
        cached += [(path, int(file.suffixes[-2][1:]), np.load(file)) for file in files]
    if statistics is None:
        statistics = measure([states for _, _, states in cached])
    mean, std = (np.array(part, np.float32) for part in (statistics.mean, statistics.std))
    regions = []
    for path, copy, states in cached:
        masks = pieces_of(read_field(path, labels)[1], turns_of(path, copy))
        data_set = (data_sets or {}).get(case_of(path), 0)
        for state, mask in zip(states, masks, strict=True):
            normal = (state.astype(np.float32) - mean) / std
            regions.append(Region(normal.astype(np.float16), mask, data_set))
    return Tissue(regions, factor, vessel_share), statistics
