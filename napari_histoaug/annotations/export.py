"""The strict writer: only what QuPath 0.6 and newer accept, every repair reported."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histoaug.annotations.classes import ClassTable
from napari_histoaug.annotations.classification import DEFAULT_COLOR
from napari_histoaug.annotations.document import Document, Feature, children_key
from napari_histoaug.annotations.marks import mark_for
from napari_histoaug.annotations.qupath import OBJECT_TYPES, accepted_geometry, finite
from napari_histoaug.annotations.writing import save_json

if TYPE_CHECKING:
    from napari_histoaug.slides import Slide

# Made of the feature's place in the document, so that the same document exports to the same bytes.
_NAMESPACE = uuid.UUID("5b0f6d0e-6f0c-4f0e-9a67-0d8a4f8f2a11")


def export_for_qupath(
    document: Document,
    path: str | Path,
    classes: ClassTable | None = None,
    slide: Slide | None = None,
) -> list[str]:
    """Write a FeatureCollection that QuPath 0.6 and newer import without complaint.

    Coordinates are rounded to hundredths of a pixel, invalid polygons are made valid, every
    classification gets a colour. The document itself is not changed.

    Parameters
    ----------
    document : Document
    path : path
        A name ending in ``.gz`` or ``.zip`` is compressed.
    classes : ClassTable, optional
        Gives colours to classes that have none in the document.
    slide : Slide, optional
        The open slide they were drawn on. Its salted id and size are kept in the objects'
        ``metadata``, so that :func:`~napari_histoaug.annotations.place_on` can tell a wrong slide.

    Returns
    -------
    list of str
        One sentence for each feature that was repaired, left out or changed by more than 0.1 %
        of its area; empty when all went as it was.

    Raises
    ------
    AnnotationError
        When the file cannot be written.
    """
    report = [f"{p.sentence} and was left out." for p in document.problems if not p.kept]
    mark = mark_for(slide, document.frame.name).members() if slide else {}
    features = [
        accepted
        for index, feature in enumerate(document.features)
        if (accepted := _accepted(feature, f"Feature {index}", classes, report))
    ]
    for feature in features if mark else ():
        properties = feature["properties"]
        properties["metadata"] = {**(properties.get("metadata") or {}), **mark}
    save_json({"type": "FeatureCollection", "features": features}, Path(path))
    return report


def _accepted(
    feature: Feature, where: str, classes: ClassTable | None, report: list[str]
) -> dict[str, Any] | None:
    geometry, changes = accepted_geometry(feature)
    properties, more = _properties(feature, classes)
    report.extend(f"{where} {text}." for text in (*changes, *more))
    if geometry is None and properties["objectType"] != "root":
        if not changes:
            report.append(f"{where} has no geometry and was left out.")
        return None
    key = children_key(feature.properties)
    if key:
        kept = (
            _accepted(child, f"{where}, child {i},", classes, report)
            for i, child in enumerate(feature.children)
        )
        properties["childObjects"] = [child for child in kept if child]
    result: dict[str, Any] = {
        **finite(feature),
        "id": _uuid(feature.get("id"), where),
        "geometry": geometry,
        "properties": properties,
    }
    if "nucleusGeometry" in feature:
        nucleus = Feature(type="Feature", geometry=feature["nucleusGeometry"])
        result["nucleusGeometry"], changes = accepted_geometry(nucleus)
        report.extend(f"{where}: its nucleus {text}." for text in changes)
    return result


def _properties(feature: Feature, classes: ClassTable | None) -> tuple[dict[str, Any], list[str]]:
    dropped = {"object_type", "type", "childObjects", "children", "classification", "objectType"}
    own = feature.properties
    kept = finite({key: value for key, value in own.items() if key not in dropped})
    stated = own.get("objectType") or own.get("object_type") or own.get("type") or "annotation"
    known = {kind.lower(): kind for kind in OBJECT_TYPES}
    kind = known.get(str(stated).lower(), "annotation")
    changes = []
    if str(stated).lower() not in known:
        changes.append(f"had the unknown object type {stated!r} and became an annotation")
    result = {"objectType": kind, **kept}
    classification = feature.classification
    if classification:
        in_table = classes is not None and classes.find(classification.name) is not None
        table = classes.color_of(classification.name) if classes and in_table else None
        color = list(classification.color or table or DEFAULT_COLOR)
        names = [part.strip() for part in classification.name.split(":")]
        name: dict[str, Any] = {"names": names} if len(names) > 1 else {"name": names[0]}
        result["classification"] = {**name, "color": color}
    if isinstance(kept.get("measurements"), list):
        pairs = (m for m in kept["measurements"] if isinstance(m, dict) and "name" in m)
        result["measurements"] = {m["name"]: m.get("value") for m in pairs}
    return result, changes


def _uuid(value: object, where: str) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, f"{where} {value}"))
