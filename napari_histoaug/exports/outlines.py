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
from napari_histoaug.annotations.frame import SLIDE_FRAME, Frame
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.whole import Cancelled, Progress, never, nobody, whole
from napari_histoaug.patches.painted import check_known, said_by
from napari_histoaug.slides import Slide


def edits_as_features(store: EditStore, classes: ClassTable) -> list[Feature]:
    """Return what the edits in force say of their pixels, one feature for each class of each.

    The outlines follow the edges of level-0 pixels, so that painting them by the pixel-centre rule
    gives back the masks. ``properties.metadata`` says that the tissue is generated, and how.
    """
    return [feature for record in store.edits for feature in _features_of(store, record, classes)]


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
    check_known(store, classes)
    own = edits_as_features(store, classes)
    drawn = annotations.features if annotations is not None else []
    if not own and not drawn:
        raise ExportError(
            "There is nothing to write: the slide has no accepted edit, and no annotations were "
            "given."
        )
    frame = SLIDE_FRAME if annotations is None else annotations.frame
    kept = [left for feature in drawn if (left := _without(feature, store, classes, frame))]
    document = Document.from_features([*kept, *_in_frame(own, frame)])
    document.frame = frame
    return document


def _in_frame(features: list[Feature], frame: Frame) -> list[Feature]:
    """Count from where the annotations count."""
    for feature in features:
        feature.geometry = shapely.transform(
            feature.geometry, lambda xy: np.subtract(xy, (frame.dx, frame.dy))
        )
    return features


def _without(
    feature: Feature, store: EditStore, classes: ClassTable, frame: Frame
) -> Feature | None:
    """Cut out of an annotation what edits removed; None when nothing is left, or itself."""
    left = geometry = feature.geometry
    for record in store.edits:
        said = said_by(store, record, classes)
        gone = _outline(said.where & (said.values == 0), record)
        gone = shapely.transform(gone, lambda xy: np.subtract(xy, (frame.dx, frame.dy)))
        if left.intersects(gone):
            left = shapely.make_valid(left).difference(gone)
    if left is geometry:
        return feature
    if left.is_empty:
        return None
    cut = Feature(feature)
    cut.geometry = left
    return cut


def _outline(mask: Any, record: EditRecord) -> Any:
    """Return the edges of a mask of an edit's box as one geometry, (x, y) in level-0 pixels."""
    values = mask.astype("uint8")
    pieces = [shape(outline) for outline, _ in shapes(values, mask=mask)]
    y, x = record.box[:2]
    return shapely.transform(shapely.union_all(pieces), lambda xy: np.add(xy, (x, y)))


def _features_of(store: EditStore, record: EditRecord, classes: ClassTable) -> list[Feature]:
    said = said_by(store, record, classes)
    names = {value: classes.names[value - 1] for value in np.unique(said.values) if value}
    return [
        _feature(_outline(said.values == value, record), name, record, classes)
        for value, name in names.items()
    ]


def _feature(outline: Any, name: str, record: EditRecord, classes: ClassTable) -> Feature:
    feature = Feature.new(outline, name, classes.color_of(name))
    facts: dict[str, Any] = record.model_dump(include={"id", "method", "seed", "model_sha256"})
    metadata = {f"histoaug {key}": str(value) for key, value in facts.items()}
    feature["properties"] |= {"metadata": {"histoaug synthetic": "true", **metadata}}
    return feature
