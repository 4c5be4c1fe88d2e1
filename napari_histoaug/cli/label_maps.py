"""Label maps from a PNG, from OME-Zarr labels, or from outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.cli.files import read_labels
from napari_histoaug.errors import HistoaugError

MARGIN = 64  # px of tissue around the outlines of a GeoJSON file


class LabelMap(NamedTuple):
    """A label map and what its file says of it.

    Attributes
    ----------
    values : uint8, (H, W)
        0 background, 1 + class index elsewhere.
    mpp : (float, float) or None
        Micrometres per pixel, (y, x).
    box : (int, int, int, int) or None
        Where outlines were drawn: (y, x, height, width) in their own pixels.
    """

    values: NDArray[np.uint8]
    mpp: tuple[float, float] | None = None
    box: tuple[int, int, int, int] | None = None


def read_label_map(path: Path, classes: Sequence[str]) -> LabelMap:
    """Read a label map of any of the three kinds.

    Parameters
    ----------
    path : Path
        A folder is taken for OME-Zarr, ``.geojson`` and ``.json`` for outlines, others for a
        picture of one channel.
    classes : sequence of str
        Names that outlines may have, in the order of their values.

    Raises
    ------
    HistoaugError
        When the file cannot be used; one sentence.
    """
    if path.is_dir():
        return _from_zarr(path)
    if path.suffix.lower() in {".geojson", ".json"}:
        return _from_outlines(path, classes)
    return LabelMap(read_labels(path))


def _from_outlines(path: Path, classes: Sequence[str]) -> LabelMap:
    from napari_histoaug.annotations import ClassTable, rasterize, read_geojson

    document = read_geojson(path)
    table = ClassTable.from_names(list(classes))
    bounds = [
        f.geometry.bounds
        for f in document.walk()
        if table.find(f.class_name or f.name or "") is not None and not f.geometry.is_empty
    ]
    if not bounds:
        raise HistoaugError(
            f"{path.name} holds no outline of a class that the model knows ({', '.join(classes)}); "
            "rename the class or choose another model."
        )
    left, top = (int(np.floor(min(b[i] for b in bounds))) - MARGIN for i in (0, 1))
    right, bottom = (int(np.ceil(max(b[i] for b in bounds))) + MARGIN for i in (2, 3))
    box = (top, left, bottom - top, right - left)
    return LabelMap(rasterize(document, table, box), box=box)


def _from_zarr(path: Path) -> LabelMap:
    import zarr

    wrong = f"{path.name} holds no OME-Zarr label image; give one, a PNG or a GeoJSON file."
    try:
        found = zarr.open_group(str(path), mode="r")
        group, scales = _label_group(found)
        first = scales["datasets"][0]
        array = group[first["path"]]
        axes = [str(axis["name"]) for axis in scales["axes"]]
        steps = first["coordinateTransformations"][0]["scale"]
        pixels = np.asarray(array[:])
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise HistoaugError(wrong) from error
    if axes[-2:] != ["y", "x"] or pixels.size == 0 or pixels.size != np.prod(pixels.shape[-2:]):
        raise HistoaugError(wrong)
    values = pixels.reshape(pixels.shape[-2:])
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() > 255:
        raise HistoaugError(f"The labels of {path.name} must be whole numbers from 0 to 255.")
    micrometres = all(axis.get("unit") == "micrometer" for axis in scales["axes"][-2:])
    mpp = (float(steps[-2]), float(steps[-1])) if micrometres else None
    return LabelMap(np.ascontiguousarray(values, np.uint8), mpp)


def _label_group(group: Any) -> tuple[Any, dict[str, Any]]:
    """The label image itself, or the first one of an image's labels, with its multiscales."""
    if "labels" in group:
        labels = group["labels"]
        described = labels.attrs.get("ome", labels.attrs)
        group = labels[described["labels"][0]]
    described = group.attrs.get("ome", group.attrs)
    return group, described["multiscales"][0]
