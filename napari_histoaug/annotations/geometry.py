"""GeoJSON geometries: checking them, and to and from shapely. (x, y) order lives only here."""

from __future__ import annotations

import math
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

Raw = dict[str, Any]

# How many lists are wrapped around a position.
_DEPTH = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
GEOMETRY_TYPES = frozenset({*_DEPTH, "GeometryCollection"})


def problem(geometry: object) -> str | None:
    """Say in half a sentence what is wrong with a GeoJSON geometry, or return None.

    An absent geometry (``None`` or ``{}``, as QuPath writes for its root) is right; so is a ring
    whose last position does not repeat its first.
    """
    if geometry is None or geometry == {}:
        return None
    if not isinstance(geometry, dict):
        return "has a geometry that is not an object"
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        parts = geometry.get("geometries")
        if not isinstance(parts, list):
            return "has a GeometryCollection without geometries"
        return next((found for part in parts if (found := problem(part))), None)
    if kind not in _DEPTH:
        return f"has a geometry of the unknown type {kind!r}"
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list):
        return f"has a {kind} without coordinates"
    if not coordinates:
        return None
    ring = kind in ("Polygon", "MultiPolygon")
    return _problem_at_depth(coordinates, _DEPTH[kind], ring, kind)


def _problem_at_depth(coordinates: Any, depth: int, ring: bool, kind: str) -> str | None:
    if depth == 0:
        return None if _is_position(coordinates) else f"has a {kind} with a bad position"
    if not isinstance(coordinates, list):
        return f"has a {kind} with coordinates that are nested too little"
    if depth == 1 and ring and coordinates:
        if not all(map(_is_position, coordinates)):
            return f"has a {kind} with a bad position"
        if len(coordinates) < 3 or (len(coordinates) == 3 and coordinates[0] == coordinates[-1]):
            return f"has a {kind} with a ring of fewer than three corners"
        return None
    found = (_problem_at_depth(part, depth - 1, ring, kind) for part in coordinates)
    return next((text for text in found if text), None)


def _is_position(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    )


def to_shapely(geometry: Raw | None) -> BaseGeometry:
    """Turn a checked GeoJSON geometry into a two-dimensional shapely one; absent becomes empty."""
    if not geometry:
        return shapely.GeometryCollection()
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return shapely.GeometryCollection([to_shapely(part) for part in geometry["geometries"]])
    coordinates = geometry["coordinates"]
    if kind == "Polygon":
        return _polygon(coordinates)
    if kind == "MultiPolygon":
        return shapely.MultiPolygon([_polygon(rings) for rings in coordinates])
    if kind == "MultiLineString":
        return shapely.MultiLineString([_flat(line) for line in coordinates])
    if not coordinates:
        return shapely.GeometryCollection()
    if kind == "Point":
        return shapely.Point(coordinates[:2])
    if kind == "MultiPoint":
        return shapely.MultiPoint(_flat(coordinates))
    return shapely.LineString(_flat(coordinates))


def _polygon(rings: list[Any]) -> shapely.Polygon:
    if not rings or not rings[0]:
        return shapely.Polygon()
    return shapely.Polygon(_flat(rings[0]), [_flat(ring) for ring in rings[1:] if ring])


def _flat(positions: list[Any]) -> list[Any]:
    return [position[:2] for position in positions]


def from_shapely(geometry: BaseGeometry, previous: Raw | None = None) -> Raw:
    """Turn a shapely geometry into a GeoJSON one.

    Members of the ``previous`` geometry that still hold (such as QuPath's ``plane``) are kept;
    ``isEllipse`` and ``bbox`` are not, they described the old outline.
    """
    stale = {"type", "coordinates", "geometries", "isEllipse", "bbox"}
    kept = {key: value for key, value in (previous or {}).items() if key not in stale}
    return {**_listed(shapely.geometry.mapping(geometry)), **kept}


def _listed(value: Any) -> Any:
    # shapely's mapping has tuples, which would not be equal to the same JSON read again.
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_listed(part) for part in value]
    return value


def areal(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygons in a geometry as a Polygon or MultiPolygon; lines and points are left."""
    if isinstance(geometry, (shapely.Polygon, shapely.MultiPolygon)):
        return geometry
    parts = [areal(part) for part in getattr(geometry, "geoms", ())]
    polygons = [p for part in parts for p in getattr(part, "geoms", (part,)) if not p.is_empty]
    if len(polygons) == 1:
        return polygons[0]
    return shapely.MultiPolygon(polygons) if polygons else shapely.Polygon()
