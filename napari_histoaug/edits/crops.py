"""The pixels of one edit on the disk: a small OME-Zarr 0.5 group of its own."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_histoaug.edits.errors import EditError, cannot_write
from napari_histoaug.edits.record import EditRecord

_CHUNK = 512


def write_crop(
    folder: Path, record: EditRecord, image: np.ndarray, changed: np.ndarray, hole: np.ndarray
) -> Path:
    """Write an edit's pixels under a temporary name, then give them their own.

    The group holds the image as array "0" (uint8, axes c y x, as OME-Zarr wants them) and the mask
    of generated pixels as the label image "labels/changed" (uint8, 1 where generated), the mask
    that was painted as "labels/hole", all placed on the slide by their translation.

    Parameters
    ----------
    folder : pathlib.Path
        Where groups live; made when missing.
    record : EditRecord
        `id` names the group; `box` and `mpp` place it.
    image : uint8 (H, W, 3)
    changed : bool (H, W)
    hole : bool or uint8 (H, W)
        What was painted; the class values of a synthesised region.

    Returns
    -------
    pathlib.Path
        The finished group.

    Raises
    ------
    EditError
        When it could not be written; nothing is left behind.
    """
    final = crop_path(folder, record)
    part = folder / f".part-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_group(part, record, image, {"changed": changed, "hole": hole})
        _through_to_disk(part)
        if final.exists():  # left by a crash before its journal line; the journal knows it not
            shutil.rmtree(final)
        part.rename(final)
        _sync_folder(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise cannot_write(folder.parent, error) from error
    return final


def crop_path(folder: Path, record: EditRecord) -> Path:
    """Return where an edit's group lies."""
    return folder / f"{record.id}.ome.zarr"


def read_crop(folder: Path, record: EditRecord) -> np.ndarray:
    """Return an edit's pixels, uint8 (H, W, 4): red, green, blue, and 1 where generated.

    Raises
    ------
    EditError
        When they are missing or damaged.
    """
    _, _, height, width = record.box
    out = np.empty((height, width, 4), np.uint8)
    with _damage_explained(folder, record):
        group = zarr.open_group(str(crop_path(folder, record)), mode="r")
        out[..., :3] = np.moveaxis(_array(group, "0"), 0, -1)
        out[..., 3] = _array(group, "labels/changed/0") != 0
    return out


def read_painted(folder: Path, record: EditRecord) -> np.ndarray:
    """Return what was painted for an edit, uint8 (H, W), 0 where nothing was.

    Raises
    ------
    EditError
        When it is missing or damaged.
    """
    _, _, height, width = record.box
    out = np.empty((height, width), np.uint8)
    with _damage_explained(folder, record):
        group = zarr.open_group(str(crop_path(folder, record)), mode="r")
        out[:] = _array(group, "labels/hole/0")
    return out


@contextmanager
def _damage_explained(folder: Path, record: EditRecord) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise EditError(
            f"The pixels of edit {record.id} in {folder.parent} are missing or damaged; restore "
            "that folder from a backup or move it away to see the slide without edits."
        ) from error


def _array(group: zarr.Group, path: str) -> np.ndarray:
    array = group[path]
    if not isinstance(array, zarr.Array):
        raise KeyError(path)
    return np.asarray(array[:])


def _write_group(
    path: Path, record: EditRecord, image: np.ndarray, masks: dict[str, np.ndarray]
) -> None:
    attributes = {
        "ome": {"version": "0.5", "multiscales": [_multiscale(record, channel=True)]},
        "histoaug": {"record": record.model_dump(mode="json"), "synthetic": True},
    }
    group = zarr.create_group(str(path), zarr_format=3, attributes=attributes)
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0))
    _create(group, "0", planes, ["c", "y", "x"])
    group.create_group("labels", attributes={"ome": {"version": "0.5", "labels": list(masks)}})
    label = {
        "version": "0.5",
        "multiscales": [_multiscale(record, channel=False)],
        "image-label": {"source": {"image": "../../"}},
    }
    for name, mask in masks.items():
        place = group.create_group(f"labels/{name}", attributes={"ome": label})
        _create(place, "0", mask.astype(np.uint8), ["y", "x"])


def _create(group: zarr.Group, name: str, data: np.ndarray, axes: list[str]) -> None:
    chunks = (*data.shape[:-2], *(min(side, _CHUNK) for side in data.shape[-2:]))
    group.create_array(name, data=data, chunks=chunks, dimension_names=axes, fill_value=0)


def _multiscale(record: EditRecord, *, channel: bool) -> dict[str, Any]:
    mpp = record.mpp or (1.0, 1.0)
    unit = {"unit": "micrometer"} if record.mpp else {}
    axes: list[dict[str, str]] = [{"name": name, "type": "space", **unit} for name in "yx"]
    scale = list(mpp)
    translation = [record.box[0] * mpp[0], record.box[1] * mpp[1]]
    if channel:
        axes.insert(0, {"name": "c", "type": "channel"})
        scale.insert(0, 1.0)
        translation.insert(0, 0.0)
    placed = [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": translation},
    ]
    return {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": placed}]}


def _through_to_disk(path: Path) -> None:
    for folder, _, files in os.walk(path):
        for name in files:
            with (Path(folder) / name).open("rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))


def _sync_folder(path: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
