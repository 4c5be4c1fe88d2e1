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

    Only headers are read; of an address nothing is, before it is opened.
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
        The arrays of the levels (finest first, uint8 (height, width, 3)) and the settings: scale
        in micrometres, or in pixels (with a visible warning) when the slide does not say.

    Raises
    ------
    HistoaugError
        One sentence, when the slide cannot be opened.
    """
    from napari.utils.notifications import show_warning

    from napari_histoaug.gui.session import KEY, SlideCard, open_session
    from napari_histoaug.gui.settling import settle_later
    from napari_histoaug.gui.shown import shown_levels

    session = open_session(path)
    settle_later(session)
    if session.slide.mpp is None:
        show_warning(
            f"{session.slide.path.name} does not say how large its pixels are; "
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
    return shown_levels(session), settings, "image"


def _paths(path: str | Sequence[str]) -> list[str]:
    return [str(path)] if isinstance(path, (str, Path)) else [str(p) for p in path]


def _is_slide_like(path: str) -> bool:
    if _is_address(path):
        return path.rstrip("/").lower().endswith(".zarr")
    return _is_slide_zarr(Path(path)) if Path(path).is_dir() else _is_slide_tiff(path)


def _is_address(path: str) -> bool:
    # slides.remote knows it better, but must not be loaded to find readers
    return "://" in path


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
    """Whether a folder is an OME-Zarr RGB image of several levels, or of one large one.

    In whatever order its axes are: the standard has the channels first.
    """
    try:
        multiscale = _multiscales(path)[0]
        datasets = [str(entry["path"]) for entry in multiscale["datasets"]]
        names = [str(axis["name"]) for axis in multiscale["axes"]]
        shape, dtype = _array_facts(path / datasets[0])
        sides = dict(zip(names, shape, strict=True))
        height, width, channels = sides.pop("y"), sides.pop("x"), sides.pop("c")
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False
    if channels != 3 or not dtype.endswith(("uint8", "u1")) or any(n != 1 for n in sides.values()):
        return False
    return len(datasets) > 1 or max(height, width) > LARGE


def _multiscales(path: Path) -> list[dict[str, Any]]:
    """The OME-Zarr ``multiscales``: version 0.5 in zarr.json, 0.4 in .zattrs."""
    new, old = path / "zarr.json", path / ".zattrs"
    if new.is_file():
        return json.loads(new.read_bytes())["attributes"]["ome"]["multiscales"]
    return json.loads(old.read_bytes())["multiscales"]


def _array_facts(path: Path) -> tuple[list[int], str]:
    """The shape and the data type of an array: version 0.5 in zarr.json, 0.4 in .zarray."""
    new = path / "zarr.json"
    document = json.loads((new if new.is_file() else path / ".zarray").read_bytes())
    return list(document["shape"]), str(document.get("data_type", document.get("dtype")))
