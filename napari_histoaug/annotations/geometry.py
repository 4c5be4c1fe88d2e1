"""GeoJSON geometries: checking them, and to and from shapely. (x, y) order lives only here."""

from __future__ import annotations

import itertools
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

    An absent geometry (``None`` or ``{}``, as QuPath writes for its root) is right. Whether an
    outline crosses itself is not looked at.
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
    if not isinstance(kind, str) or kind not in _DEPTH:
        return f"has a geometry of the unknown type {kind!r}"
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list):
        return f"has a {kind} without coordinates"
    if not coordinates:
        return None
    ring = kind in ("Polygon", "MultiPolygon")
    found = _problem_at_depth(coordinates, _DEPTH[kind], ring)
    return f"has a {kind} with {found}" if found else None


def _problem_at_depth(coordinates: Any, depth: int, ring: bool) -> str | None:
    if not isinstance(coordinates, list):
        return "coordinates that are nested too little"
    if depth == 0:
        return _problem_of_positions([coordinates])
    if depth == 1:
        return _problem_of_positions(coordinates) or (
            _problem_of_ring(coordinates) if ring else None
        )
    found = (_problem_at_depth(part, depth - 1, ring) for part in coordinates)
    return next((text for text in found if text), None)


def _problem_of_positions(positions: list[Any]) -> str | None:
    if any(type(position) is not list or len(position) < 2 for position in positions):
        return "a position that is not a pair of numbers"
    numbers = list(itertools.chain.from_iterable(positions))
    if not set(map(type, numbers)) <= {int, float}:
        return "a coordinate that is null or not a number"
    if not all(map(math.isfinite, numbers)):
        return "a coordinate that is NaN or infinite"
    return None


def _problem_of_ring(positions: list[Any]) -> str | None:
    if not positions:
        return None
    if positions[0][:2] != positions[-1][:2]:
        return "a ring that is not closed"
    return "a ring of fewer than four positions" if len(positions) < 4 else None


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
