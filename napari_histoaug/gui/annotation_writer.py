"""The napari writers of annotations: GeoJSON and OME-Zarr label images."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_view import KEY, AnnotationView

if TYPE_CHECKING:
    from napari_histoaug.annotations import Document, Feature

_GREY = (64, 64, 64)
_LARGEST = 8192


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Labels layer: annotations as they are, painted labels as the polygons around them.

    Parameters
    ----------
    path : str
        Ending in ``.geojson`` or, for annotations, in ``.zarr``.
    data : array or list of arrays
    attributes : dict
        The layer's settings.

    Returns
    -------
    list of str
        What was written; empty, with a notification, when it could not be.
    """
    view = getattr(attributes.get("metadata", {}).get(KEY), "view", None)
    if view is not None:
        return _explained(path, lambda: write_view(view, Path(path)))
    return _explained(path, lambda: _write_painted(Path(path), data, attributes))


def write_shapes(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the closed shapes of a Shapes layer as GeoJSON polygons; see :func:`write_labels`."""
    return _explained(path, lambda: _write_drawn(Path(path), data, attributes))


def write_view(
    view: AnnotationView,
    path: Path,
    for_qupath: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> str:
    """Write shown annotations; returns the sentence to say. See :meth:`AnnotationDesk.save`.

    Raises
    ------
    HistoaugError
        One sentence.
    """
    from napari_histoaug.annotations import (
        export_for_qupath,
        write_geojson,
        write_label_image,
    )

    if path.suffix.lower() == ".zarr":
        mpp = view.session.slide.mpp if view.session else None
        write_label_image(
            view.picture, path, view.shape, mpp, progress=progress, cancelled=cancelled
        )
        return f"The label image was written to {path}."
    if view.document is None:
        raise HistoaugError(
            "This file is too large to be written again here; copy the file itself, or write a "
            "label image (.zarr)."
        )
    if for_qupath:
        slide = view.session.slide if view.session else None
        report = export_for_qupath(view.document, path, slide=slide)
        changes = f" {len(report)} features were changed: {' '.join(report[:3])}" if report else ""
        return f"The annotations were written to {path}.{changes}"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        write_geojson(view.document, path)
    refused = "".join(f" {warning.message}" for warning in said)
    return f"The annotations were written to {path}.{refused}"


def _explained(path: str, write: Callable[[], Any]) -> list[str]:
    from napari.utils.notifications import show_error, show_info

    try:
        said = write()
    except HistoaugError as error:
        show_error(str(error))
        return []
    if isinstance(said, str):
        show_info(said)
    return [path]


def _write_painted(path: Path, data: Any, attributes: dict[str, Any]) -> None:
    from rasterio.features import shapes
    from shapely.geometry import shape

    labels = np.asarray(data[0] if isinstance(data, list) else data)
    if labels.ndim != 2 or max(labels.shape) > _LARGEST:
        raise HistoaugError(
            f"Only flat label images of at most {_LARGEST} pixels a side become polygons; write "
            "this layer in another format."
        )
    _refuse_zarr(path)
    place = _to_slide(attributes)
    features = []
    for outline, value in shapes(labels.astype(np.int32), mask=labels > 0):
        # pixel edges at whole numbers; napari has centres there
        corners = shape(outline)
        features.append(_feature(corners, place, -0.5, f"label {int(value)}"))
    _write(features, path)


def _write_drawn(path: Path, data: Any, attributes: dict[str, Any]) -> None:
    import shapely

    from napari_histoaug.gui.outlines import polygon_of

    _refuse_zarr(path)
    place = _to_slide(attributes)
    table = attributes.get("features")
    names = list(table["class"]) if table is not None and "class" in table else [None] * len(data)
    kinds = attributes.get("shape_type", "polygon")
    kinds = [kinds] * len(data) if isinstance(kinds, str) else kinds
    features = []
    for corners, kind, name in zip(data, kinds, names, strict=True):
        if kind not in ("line", "path"):
            outline = shapely.Polygon(polygon_of(corners, kind)[:, ::-1])
            features.append(_feature(outline, place, 0.0, str(name) if name else None))
    _write(features, path)


def _to_slide(attributes: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset, (y, x), from a layer's data to level-0 pixels of the slide below it."""
    import napari

    from napari_histoaug.gui.annotation_reader import slide_below
    from napari_histoaug.gui.geometry import origin_of
    from napari_histoaug.gui.session import session_of

    scale = np.asarray(attributes.get("scale", (1, 1)), float)[-2:]
    translate = np.asarray(attributes.get("translate", (0, 0)), float)[-2:]
    slide_layer = slide_below(napari.current_viewer())
    session = session_of(slide_layer)
    if slide_layer is None or session is None:
        return scale, translate
    pixel = np.asarray(session.scale)
    return scale / pixel, (translate - origin_of(slide_layer)) / pixel


def _feature(
    outline: Any, place: tuple[np.ndarray, np.ndarray], shift: float, name: str | None
) -> Feature:
    import shapely

    from napari_histoaug.annotations import Feature

    scale, offset = place
    # the slide's pixels begin at whole numbers, napari's half a pixel before
    moved = shapely.transform(
        outline, lambda xy: ((xy + shift) * scale[::-1] + offset[::-1] + 0.5).round(2)
    )
    return Feature.new(moved, name, _GREY) if name else Feature.new(moved)


def _write(features: list[Feature], path: Path) -> None:
    from napari_histoaug.annotations import Document, write_geojson

    document: Document = Document.from_features(features)
    write_geojson(document, path)


def _refuse_zarr(path: Path) -> None:
    if path.suffix.lower() == ".zarr":
        raise HistoaugError("Only annotation layers are written as label images; choose .geojson.")
