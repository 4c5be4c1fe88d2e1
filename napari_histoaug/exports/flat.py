"""A slide with its accepted edits as a new OME-TIFF or OME-Zarr that says what is generated.

Both hold level 0 without loss: every pixel that is not generated is the slide's. Both hold a
provenance mask of their own size, and say in their metadata that generated tissue is in them.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from napari_histoaug import __version__
from napari_histoaug.edits import EditStore
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.flattening import TILE, Flattening, tiles_of
from napari_histoaug.exports.whole import Cancelled, Progress, never, nobody, whole
from napari_histoaug.slides import Slide

ATTRIBUTE = "histoaug"
MASK = "synthetic"
WARNING = "This image holds generated tissue; it is not a specimen. Made by napari-histoaug."
_RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


def flatten_to_tiff(
    slide: Slide,
    store: EditStore,
    path: Path,
    *,
    progress: Progress = nobody,
    cancelled: Cancelled = never,
) -> Path:
    """Write a tiled pyramid OME-TIFF, lossless (deflate), with a mask as its second image.

    Parameters
    ----------
    slide : Slide
    store : EditStore
        At least one edit must be in force.
    path : Path
        Must not exist; appears whole or not at all.
    progress, cancelled : callable, optional
        In blocks of all levels, see :class:`~napari_histoaug.exports.flattening.Flattening`.

    Returns
    -------
    Path

    Raises
    ------
    ExportError
        When there is no edit, or the file cannot be written.
    Cancelled
        When `cancelled` said so.
    """
    _check(store)
    with whole(path) as part, _scratch(path.parent) as scratch:
        levels = Flattening(slide, store, scratch, progress, cancelled)
        with tifffile.TiffWriter(part, ome=True, bigtiff=True) as writer:
            _write_tiff(writer, levels, slide, store)
    return path


def flatten_to_zarr(
    slide: Slide,
    store: EditStore,
    path: Path,
    *,
    progress: Progress = nobody,
    cancelled: Cancelled = never,
) -> Path:
    """Write an OME-Zarr 0.5 image, lossless, with the label image ``synthetic``.

    Parameters, result and errors are those of :func:`flatten_to_tiff`.
    """
    _check(store)
    with whole(path) as part, _scratch(path.parent) as scratch:
        levels = Flattening(slide, store, scratch, progress, cancelled)
        group = zarr.create_group(part, zarr_format=3)
        labels = group.create_group("labels")
        mask = labels.create_group(MASK)
        for level, shape in enumerate(levels.shapes):
            image = _array(group, level, (3, *shape), ("c", "y", "x"))
            marked = _array(mask, level, shape, ("y", "x"))
            for block in levels.blocks(level):
                image[(slice(None), *block.region)] = np.moveaxis(block.image, -1, 0)
                if block.synthetic.any():
                    marked[block.region] = block.synthetic.astype(np.uint8)
        count = len(levels.shapes)
        mask.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [_multiscales(MASK, count, slide.mpp, "yx")],
            "image-label": {
                "colors": [{"label-value": 1, "rgba": [217, 130, 43, 255]}],
                "properties": [{"label-value": 1, "class": "generated pixels"}],
                "source": {"image": "../../"},
            },
        }
        labels.attrs["ome"] = {"version": "0.5", "labels": [MASK]}
        group.attrs[ATTRIBUTE] = {**_facts(slide, store), "warning": WARNING}
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [_multiscales("image", count, slide.mpp, "cyx")],
            "omero": {"channels": [_channel(*named) for named in _RGB]},
        }
    return path


def _check(store: EditStore) -> None:
    if not store.edits:
        raise ExportError("The slide has no accepted edit, so there is nothing to flatten.")


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    path = folder / f".{uuid.uuid4().hex}.scratch"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _facts(slide: Slide, store: EditStore) -> dict[str, Any]:
    """What explains every generated pixel, without the slide's name."""
    return {
        "synthetic": True,
        "slide_id": slide.slide_id(),
        "version": __version__,
        "edits": [record.model_dump(mode="json") for record in store.edits],
        "undecodable_tiles": len(slide.failures),
    }


def _write_tiff(
    writer: tifffile.TiffWriter, levels: Flattening, slide: Slide, store: EditStore
) -> None:
    facts = _facts(slide, store)
    edits = facts.pop("edits")
    facts["edits"] = len(edits)
    facts["edit_ids"] = " ".join(edit["id"] for edit in edits)
    facts["models"] = " ".join(sorted({str(edit["model_sha256"]) for edit in edits}))
    notes = {"Namespace": ATTRIBUTE, **{key: str(value) for key, value in facts.items()}}
    image = {"axes": "YXS", "Name": facts["slide_id"], "MapAnnotation": notes}
    mask = {"axes": "YX", "Name": MASK, "Description": f"255 where pixels are generated. {WARNING}"}
    tiles = (tiles_of(levels.blocks(n)) for n in range(len(levels.shapes)))
    _series(writer, tiles, levels, slide.mpp, {**image, "Description": WARNING}, (3,))
    masks = (levels.mask_tiles(n) for n in range(len(levels.shapes)))
    _series(writer, masks, levels, slide.mpp, mask, ())


def _series(
    writer: tifffile.TiffWriter,
    levels: Iterator[Iterator[Any]],
    flattening: Flattening,
    mpp: tuple[float, float] | None,
    metadata: dict[str, Any],
    samples: tuple[int, ...],
) -> None:
    """Write one image of the file with its pyramid below it."""
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp[1], "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": mpp[0], "PhysicalSizeYUnit": "µm"}
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "dtype": "uint8",
        "photometric": "rgb" if samples else "minisblack",
        "compression": "deflate",
        "predictor": True,
    }
    for n, (tiles, shape) in enumerate(zip(levels, flattening.shapes, strict=True)):
        if mpp is not None:
            options["resolution"] = (1e4 / (mpp[1] * 2**n), 1e4 / (mpp[0] * 2**n))
            options["resolutionunit"] = "CENTIMETER"
        writer.write(
            tiles,
            shape=(*shape, *samples),
            subifds=len(flattening.shapes) - 1 if n == 0 else None,
            subfiletype=int(n > 0),
            metadata=metadata if n == 0 else None,
            **options,
        )


def _array(group: zarr.Group, level: int, shape: tuple[int, ...], names: tuple[str, ...]) -> Any:
    chunks = (*shape[:-2], *(min(TILE, side) for side in shape[-2:]))
    return group.create_array(
        str(level), shape=shape, chunks=chunks, dtype="uint8", dimension_names=names
    )


def _multiscales(
    name: str, levels: int, mpp: tuple[float, float] | None, axes: str
) -> dict[str, Any]:
    unit = {"unit": "micrometer"} if mpp else {}
    scales = [
        [*([1.0] * (len(axes) - 2)), *(2.0**n * side for side in mpp or (1.0, 1.0))]
        for n in range(levels)
    ]
    return {
        "name": name,
        "axes": [
            {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", **unit}
            for a in axes
        ],
        "datasets": [
            {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for n, scale in enumerate(scales)
        ],
    }


def _channel(name: str, colour: str) -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {"label": name, "color": colour, "window": window, "active": True}
