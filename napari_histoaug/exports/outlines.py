"""Masks of edits and annotations of a slide as outlines for QuPath, or as a label image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.features import shapes
from shapely.geometry import shape

from napari_histoaug.annotations import (
    AnnotationIndex,
    ClassTable,
    Document,
    Feature,
    Picture,
    export_for_qupath,
    write_label_image,
)
from napari_histoaug.annotations.classification import DEFAULT_COLOR
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.whole import Cancelled, Progress, never, nobody, whole
from napari_histoaug.slides import Slide


def edits_as_features(store: EditStore, classes: ClassTable) -> list[Feature]:
    """Return the masks that were painted for the edits in force, one feature each.

    The outlines follow the edges of level-0 pixels, so that painting them by the pixel-centre rule
    gives back the masks. ``properties.metadata`` says that the tissue is generated, and how.
    """
    return [_feature(store, record, classes) for record in store.edits]


def export_outlines(
    slide: Slide,
    store: EditStore,
    path: Path,
    classes: ClassTable,
    annotations: Document | None = None,
) -> Path:
    """Write annotations and the masks of edits as GeoJSON that QuPath imports.

    Parameters
    ----------
    slide : Slide
    store : EditStore
    path : Path
        Ends in ``.geojson``; an older one is replaced.
    classes : ClassTable
        For the colours.
    annotations : Document, optional
        Placed on the slide; written first.

    Raises
    ------
    ExportError
        When there is neither an annotation nor an edit, or the file cannot be written.
    """
    document = together(store, classes, annotations)
    with whole(path, replace=True) as part:
        named = part.with_suffix(".geojson")
        try:
            export_for_qupath(document, named, classes, slide)
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)
    return path


def export_label_image(
    slide: Slide,
    store: EditStore,
    path: Path,
    classes: ClassTable,
    annotations: Document | None = None,
    *,
    progress: Progress = nobody,
    cancelled: Cancelled = never,
) -> Path:
    """Write annotations and the masks of edits as an OME-Zarr label image.

    Parameters and errors are those of :func:`export_outlines`; `path` must not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    index = AnnotationIndex.from_document(together(store, classes, annotations))
    height, width = slide.levels[0].shape
    return write_label_image(
        Picture(index, classes), path, (height, width), slide.mpp,
        progress=progress, cancelled=cancelled,
    )  # fmt: skip


def together(store: EditStore, classes: ClassTable, annotations: Document | None) -> Document:
    """Return annotations and masks of edits as one document."""
    own = edits_as_features(store, classes)
    drawn = annotations.features if annotations is not None else []
    if not own and not drawn:
        raise ExportError(
            "There is nothing to write: the slide has no accepted edit, and no annotations were "
            "given."
        )
    document = Document.from_features([*drawn, *_in_frame(own, annotations)])
    if annotations is not None:
        document.frame = annotations.frame
    return document


def _in_frame(features: list[Feature], annotations: Document | None) -> list[Feature]:
    """Count from where the annotations count."""
    if annotations is not None:
        frame = annotations.frame
        for feature in features:
            feature.geometry = shapely.transform(
                feature.geometry, lambda xy: np.subtract(xy, (frame.dx, frame.dy))
            )
    return features


def _feature(store: EditStore, record: EditRecord, classes: ClassTable) -> Feature:
    mask = store.painted(record).astype("uint8")
    pieces = [shape(outline) for outline, value in shapes(mask, mask=mask > 0) if value]
    y, x = record.box[:2]
    outline = shapely.transform(shapely.union_all(pieces), lambda xy: np.add(xy, (x, y)))
    found = classes.find(record.label)
    color = DEFAULT_COLOR if found is None else classes.colors[found]
    feature = Feature.new(outline, record.label, color)
    facts: dict[str, Any] = record.model_dump(include={"id", "method", "seed", "model_sha256"})
    metadata = {f"histoaug {key}": str(value) for key, value in facts.items()}
    feature["properties"] |= {"metadata": {"histoaug synthetic": "true", **metadata}}
    return feature
