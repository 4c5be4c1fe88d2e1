"""The areas that a document outlines, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from napari_histoaug.annotations.document import Document, Feature
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.geometry import areal


def connected_areas(
    document: Document, class_name: str, shape: tuple[int, int], source: str | Path
) -> list[shapely.Polygon]:
    """Return the connected areas of one class, as far as they lie inside a slide.

    Polygons that touch or overlap become one area. When the document has one class only (or
    none at all) all of its polygons count, whatever they are called.

    Parameters
    ----------
    document : Document
    class_name : str
        The class to take from a document with several.
    shape : tuple of int
        (height, width) of the slide at level 0.
    source : path
        Where the document came from, for the sentence.

    Returns
    -------
    list of shapely.Polygon
        In (x, y) level-0 pixels, from top to bottom; each may have holes.

    Raises
    ------
    AnnotationError
        When there is no polygon, none of the class, or none inside the slide.
    """
    name = Path(source).name
    outlined = [f for f in document.walk() if not areal(f.geometry).is_empty]
    if not outlined:
        raise AnnotationError(f"{name} holds no polygon; draw at least one.")
    chosen = _of_class(outlined, class_name, name)
    valid = [shapely.make_valid(areal(f.geometry), method="structure") for f in chosen]
    height, width = shape
    corner = np.array([document.frame.dx, document.frame.dy])
    together = shapely.transform(shapely.union_all(valid), lambda xy: xy + corner)
    inside = together.intersection(shapely.box(0, 0, width, height))
    polygons = areal(inside)
    if polygons.is_empty:
        raise AnnotationError(
            f"No polygon of {name} lies inside the slide ({height} x {width} pixels); "
            "check that it was drawn on this slide."
        )
    parts = list(getattr(polygons, "geoms", [polygons]))
    return sorted(parts, key=lambda part: (part.bounds[1], part.bounds[0]))


def _of_class(features: list[Feature], class_name: str, source: str) -> list[Feature]:
    names = {feature.class_name for feature in features}
    if len(names) == 1:
        return features
    chosen = [f for f in features if class_name in _spellings(f.class_name)]
    if not chosen:
        known = ", ".join(sorted(str(name or "unclassified") for name in names))
        raise AnnotationError(
            f"{source} holds no polygon of the class {class_name!r}; its classes are {known}."
        )
    return chosen


def _spellings(name: str | None) -> tuple[str, ...]:
    return (name, name.split(":")[0].strip()) if name else ()
