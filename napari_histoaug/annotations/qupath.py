"""What QuPath (0.6 and newer) accepts, what it refuses, and how a geometry is repaired for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations.document import Feature
from napari_histoaug.annotations.geometry import Raw, areal, from_shapely

OBJECT_TYPES = frozenset({"annotation", "detection", "cell", "tile", "tmaCore", "root"})
GRID = 0.01  # QuPath reduces coordinates to hundredths of a pixel and refuses what then crosses
_AREA_TOLERANCE = 1e-3


def refusals(feature: Feature) -> Iterator[str]:
    """Yield, as half sentences, what makes QuPath refuse or lose a feature as it is."""
    value = feature.properties.get("classification")
    members = set(value) if isinstance(value, dict) else set()
    if members & {"name", "names"} and not members & {"color", "colorRGB"}:
        yield "has a classification without a color"
    kind = (feature.get("geometry") or {}).get("type")
    if kind == "GeometryCollection":
        yield "is a GeometryCollection"
    elif kind in ("Polygon", "MultiPolygon"):
        outline = on_grid(feature.geometry)
        if not outline.is_valid:
            yield f"is not a valid polygon ({_reason(outline)})"


def on_grid(geometry: BaseGeometry) -> BaseGeometry:
    """Return the geometry with coordinates rounded to hundredths, nothing else changed."""
    return shapely.transform(geometry, lambda xy: np.round(xy, 2))


def accepted_geometry(feature: Feature) -> tuple[Raw | None, list[str]]:
    """Return a geometry that QuPath accepts, and in half sentences what had to change.

    Returns
    -------
    geometry : dict or None
        GeoJSON with two decimals; None when no area is left or there was no geometry.
    changes : list of str
    """
    previous = feature.get("geometry") or {}
    kind = previous.get("type")
    original = feature.geometry
    rounded = on_grid(original)
    if kind not in ("Polygon", "MultiPolygon", "GeometryCollection"):
        return (from_shapely(rounded, previous), []) if not original.is_empty else (None, [])
    if kind != "GeometryCollection" and rounded.is_valid and rounded.area > 0:
        kept = {"isEllipse": previous["isEllipse"]} if "isEllipse" in previous else {}
        return {**from_shapely(rounded, previous), **kept}, _area_change(original, rounded)
    repaired = _repair(rounded)
    if repaired.is_empty:
        return None, ["encloses no area and was left out"]
    if kind == "MultiPolygon" and repaired.geom_type == "Polygon":
        repaired = shapely.MultiPolygon([repaired])
    collection = kind == "GeometryCollection"
    reason = "was a GeometryCollection" if collection else f"was invalid ({_reason(rounded)})"
    change = f"{reason} and was repaired; its area is now {repaired.area:.2f} square pixels"
    return from_shapely(repaired, previous), [change]


def _repair(geometry: BaseGeometry) -> BaseGeometry:
    # Snapping to the grid may make edges cross again; make_valid then moves off the grid, so
    # both are repeated until the rounded outline itself is valid (seldom more than once).
    for _ in range(5):
        valid = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
        geometry = on_grid(areal(shapely.set_precision(valid, GRID)))
        if geometry.is_valid:
            return geometry
    return shapely.Polygon()


def _area_change(before: BaseGeometry, after: BaseGeometry) -> list[str]:
    if not before.is_valid or math.isclose(before.area, after.area, rel_tol=_AREA_TOLERANCE):
        return []
    return [f"changed its area from {before.area:.4f} to {after.area:.4f} square pixels"]


def _reason(geometry: BaseGeometry) -> str:
    return str(shapely.is_valid_reason(geometry)).split("[")[0].strip().lower()


def finite(value: Any) -> Any:
    """Return JSON with NaN and infinities as text, as QuPath writes them."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
