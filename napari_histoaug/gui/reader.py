"""The napari reader: a whole-slide image as a lazily read multiscale RGB layer.

Importing this module loads neither openslide nor torch: napari does it to find readers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_histoaug.errors import HistoaugError

LayerData = tuple[Any, ...]
Reader = Callable[[Any], list[LayerData]]

LARGE = 4096
"""A flat image with a longer side is worth reading lazily."""


def get_slide_reader(path: str | Sequence[str]) -> Reader | None:
    """Reader for the vendors' formats; a wrong file is explained when it is read."""
    return read_slides


def get_pyramid_reader(path: str | Sequence[str]) -> Reader | None:
    """Reader for TIFF and Zarr, or None unless every path holds a pyramid or a large image.

    Only headers are read.
    """
    return read_slides if all(_is_slide_like(p) for p in _paths(path)) else None


def read_slides(path: str | Sequence[str]) -> list[LayerData]:
    """Open one slide or several, each as one Image layer.

    A slide that cannot be opened is explained in a napari notification, without a traceback, and
    gives no layer (``(None,)`` in napari's words).
    """
    from napari.utils.notifications import show_error

    layers = []
    for one in _paths(path):
        try:
            layers.append(slide_layer(one))
        except HistoaugError as error:
            show_error(str(error))
    return layers or [(None,)]


def slide_layer(path: str | Path) -> LayerData:
    """The layer data tuple ``(arrays, settings, "image")`` of a slide.

    Parameters
    ----------
    path : str or Path
        A whole-slide image.

    Returns
    -------
    tuple
        The zarr arrays of the pyramid (finest first, uint8 (height, width, 3)) and the settings:
        scale in micrometres, or in pixels (with a visible warning) when the slide does not say.

    Raises
    ------
    HistoaugError
        One sentence, when the slide cannot be opened.
    """
    from napari.utils.notifications import show_warning

    from napari_histoaug.gui.session import KEY, SlideCard, open_session

    session = open_session(path)
    if session.slide.mpp is None:
        show_warning(
            f"{Path(path).name} does not say how large its pixels are; "
            "distances are shown in pixels, and the network takes its own pixel size for granted."
        )
    settings = {
        "name": session.slide.name,
        "multiscale": True,
        "rgb": True,
        "contrast_limits": (0, 255),
        "scale": session.scale,
        "units": session.units,
        "axis_labels": ("y", "x"),
        "metadata": {KEY: SlideCard(session)},
    }
    return list(session.pyramid.arrays), settings, "image"


def _paths(path: str | Sequence[str]) -> list[str]:
    return [str(path)] if isinstance(path, (str, Path)) else [str(p) for p in path]


def _is_slide_like(path: str) -> bool:
    return _is_slide_zarr(Path(path)) if Path(path).is_dir() else _is_slide_tiff(path)


def _is_slide_tiff(path: str) -> bool:
    """Whether the first series of a TIFF is an RGB pyramid, or RGB and large; from its headers."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            if page.samplesperpixel not in (3, 4) or page.dtype != "uint8":
                return False
            if max(page.imagelength, page.imagewidth) > LARGE:
                return True
            return bool(tiff.series) and len(tiff.series[0].levels) > 1
    except (OSError, tifffile.TiffFileError, ValueError, IndexError):
        return False


def _is_slide_zarr(path: Path) -> bool:
    """Whether a folder is an OME-Zarr image of several levels, or of one large one."""
    try:
        multiscale = _multiscales(path)[0]
        datasets = [str(entry["path"]) for entry in multiscale["datasets"]]
        shape = _array_shape(path / datasets[0])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False
    return shape[-1:] == [3] and (len(datasets) > 1 or max(shape) > LARGE)


def _multiscales(path: Path) -> list[dict[str, Any]]:
    """The OME-Zarr ``multiscales``: version 0.5 in zarr.json, 0.4 in .zattrs."""
    new, old = path / "zarr.json", path / ".zattrs"
    if new.is_file():
        return json.loads(new.read_bytes())["attributes"]["ome"]["multiscales"]
    return json.loads(old.read_bytes())["multiscales"]


def _array_shape(path: Path) -> list[int]:
    name = "zarr.json" if (path / "zarr.json").is_file() else ".zarray"
    return list(json.loads((path / name).read_bytes())["shape"])
