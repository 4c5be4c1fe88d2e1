"""Polygons as a few flat arrays, and making them from parsed features."""

from __future__ import annotations

import itertools
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_histoaug.annotations.classification import (
    Color,
    class_name,
    parse_classification,
)
from napari_histoaug.annotations.document import children_key
from napari_histoaug.annotations.geometry import areal, from_shapely, problem, to_shapely
from napari_histoaug.annotations.marks import SlideMark, mark_in
from napari_histoaug.annotations.problems import Problem, identity

Kind = tuple[str | None, str | None]
Parts = list[Any]


class OutlineArrays:
    """Multipolygons, all valid, as nested offsets into one array of vertices.

    Attributes
    ----------
    vertices : float64 (n, 2)
        (x, y) as in the file; may lie on the disk.
    rings, parts, features : int64
        Where each ring begins in the vertices, each part in the rings, each feature in the parts;
        one more than there are.
    bounds : float64 (features, 4)
        (x0, y0, x1, y1).
    area : float64 (features,)
        Square pixels, exact.
    kind : int32 (features,)
        Which class and name.
    number : int64 (features,)
        Which feature of the file, counted in reading order with children after their parents.
    """

    def __init__(self, vertices: NDArray[np.float64], columns: dict[str, NDArray[Any]]) -> None:
        # a plain view: each slice of a memory map would be a map of its own
        self.vertices = np.asarray(vertices)
        self.rings, self.parts, self.features = (
            columns[name] for name in ("rings", "parts", "features")
        )
        self.bounds = columns["bounds"].reshape(-1, 4)
        self.area, self.kind, self.number = (columns[n] for n in ("area", "kind", "number"))

    def __len__(self) -> int:
        return len(self.kind)

    def coordinates(self, feature: int) -> list[list[list[list[float]]]]:
        """Return a feature as the coordinates of a GeoJSON MultiPolygon."""
        parts = range(self.features[feature], self.features[feature + 1])
        return [
            [
                self.vertices[self.rings[ring] : self.rings[ring + 1]].tolist()
                for ring in range(self.parts[part], self.parts[part + 1])
            ]
            for part in parts
        ]

    def geometry(self, feature: int) -> shapely.MultiPolygon:
        """Return a feature as a shapely geometry."""
        parts = self.coordinates(feature)
        return shapely.MultiPolygon([(rings[0], rings[1:]) for rings in parts])


class Source(NamedTuple):
    """A parsed value that should be a feature, and its place for the sentences."""

    place: str
    value: Any


class _Outline(NamedTuple):
    source: Source
    number: int
    kind: int
    parts: Parts


class OutlineBuilder:
    """Collects features, batch by batch.

    Parameters
    ----------
    spooled : bool
        Keep the vertices in a temporary file, not in memory.

    Attributes
    ----------
    kinds : list of (class, name)
    colors : list of ((red, green, blue) or None)
        The colour of each kind, from the first feature of it.
    problems : list of Problem
    count : int
        Features so far, those without an area too.
    mark : SlideMark or None
        Which slide the first feature that says so was exported for.
    """

    def __init__(self, spooled: bool = False) -> None:
        self.kinds: list[Kind] = []
        self.colors: list[Color | None] = []
        self.problems: list[Problem] = []
        self.count = 0
        self.mark: SlideMark | None = None
        self._numbers: dict[Kind, int] = {}
        # closed, and so deleted, with the last array that maps it
        self._spool: IO[bytes] | None = tempfile.TemporaryFile() if spooled else None  # noqa: SIM115
        self._vertices: list[NDArray[np.float64]] = []
        self._columns: dict[str, list[NDArray[Any]]] = {
            name: [] for name in ("rings", "parts", "features", "bounds", "area", "kind", "number")
        }

    def add(self, sources: Iterable[Source]) -> None:
        """Take features with the objects below them; broken ones become problems."""
        sources = list(sources)
        before = self.count, len(self.problems)
        outlines = [found for source in sources for found in self._outlines(source)]
        flat = _flatten(outlines)
        if flat is None:
            # a position somewhere in the batch is broken: once more, and look at every one
            self.count = before[0]
            del self.problems[before[1] :]
            outlines = [found for source in sources for found in self._outlines(source, True)]
            flat = _flatten(outlines)
            assert flat is not None
        if outlines:
            self._append(outlines, *self._repaired(outlines, flat))

    def finish(self) -> OutlineArrays:
        """Return what was collected."""
        columns = {
            name: np.concatenate(
                [np.zeros(int(name in ("rings", "parts", "features")), np.int64), *lengths]
            )
            for name, lengths in self._columns.items()
        }
        for name in ("rings", "parts", "features"):
            np.cumsum(columns[name], out=columns[name])
        if self._spool is not None and columns["rings"][-1]:
            self._spool.flush()
            mapped = np.memmap(self._spool, np.float64, "r").reshape(-1, 2)
            return OutlineArrays(mapped, columns)
        vertices = np.concatenate([np.empty((0, 2)), *self._vertices])
        return OutlineArrays(vertices, columns)

    def _outlines(self, source: Source, careful: bool = False) -> Iterator[_Outline]:
        """Yield a feature and those below it, as far as they have an area."""
        place, value = source
        reason, kind = self._kind(value)
        geometry = value.get("geometry") if isinstance(value, dict) else None
        parts: Parts = []
        if reason is None and careful:
            reason = problem(geometry)
        if reason is None:
            reason, parts = _parts(geometry)
        if reason is not None:
            self.problems.append(Problem(place, identity(value), reason, kept=False))
            return
        number, self.count = self.count, self.count + 1
        if parts:
            yield _Outline(source, number, kind, parts)
        properties = value.get("properties")
        key = children_key(properties) if properties else None
        if key:
            for i, child in enumerate(properties[key]):
                yield from self._outlines(Source(f"{place}, child {i},", child), careful)

    def _kind(self, value: Any) -> tuple[str | None, int]:
        """Return what is wrong with the members of a feature, or the number of its class."""
        if not isinstance(value, dict) or value.get("type") != "Feature":
            return "is not a GeoJSON feature", 0
        properties = value.get("properties")
        if properties is None:
            properties = {}
        if not isinstance(properties, dict):
            return "has properties that are not an object", 0
        try:
            label = class_name(properties.get("classification"))
        except ValueError as error:
            return f"has a classification that cannot be read ({error})", 0
        if self.mark is None and "metadata" in properties:
            self.mark = mark_in(properties)
        # the names of classified objects are not needed, and may be millions
        name = properties.get("name") if label is None else None
        kind = (label, name if isinstance(name, str) else None)
        number = self._numbers.setdefault(kind, len(self.kinds))
        if number == len(self.kinds):
            self.kinds.append(kind)
            found = parse_classification(properties.get("classification"))
            self.colors.append(found.color if found else None)
        return None, number

    def _repaired(self, outlines: list[_Outline], flat: _Flat) -> tuple[Any, _Flat]:
        """Return the geometries, valid, and their arrays."""
        geometries = shapely.from_ragged_array(
            shapely.GeometryType.MULTIPOLYGON, flat.vertices, flat.offsets()
        )
        crossing = np.flatnonzero(~shapely.is_valid(geometries))
        for i in crossing:
            reason = str(shapely.is_valid_reason(geometries[i])).split("[")[0].strip().lower()
            place, value = outlines[i].source
            text = f"is not a valid polygon ({reason}) and is repaired where it is used"
            self.problems.append(Problem(place, identity(value), text, kept=True))
            valid = areal(shapely.make_valid(geometries[i], method="structure"))
            parts = [part for part in getattr(valid, "geoms", [valid]) if not part.is_empty]
            geometries[i] = shapely.MultiPolygon(parts)
        if len(crossing):
            flat = _Flat.of(geometries)
        return geometries, flat

    def _append(self, outlines: list[_Outline], geometries: Any, flat: _Flat) -> None:
        if self._spool is not None:
            self._spool.write(flat.vertices.tobytes())
        else:
            self._vertices.append(flat.vertices)
        new = {
            **flat.lengths(),
            "bounds": shapely.bounds(geometries).ravel(),
            "area": shapely.area(geometries),
            "kind": np.array([outline.kind for outline in outlines], np.int32),
            "number": np.array([outline.number for outline in outlines], np.int64),
        }
        for name, values in new.items():
            self._columns[name].append(values)


class _Flat(NamedTuple):
    """Vertices, and how many of them a ring has, rings a part, parts a feature."""

    vertices: NDArray[np.float64]
    rings: NDArray[np.int64]
    parts: NDArray[np.int64]
    features: NDArray[np.int64]

    def lengths(self) -> dict[str, NDArray[np.int64]]:
        return {"rings": self.rings, "parts": self.parts, "features": self.features}

    def offsets(self) -> tuple[NDArray[np.int64], ...]:
        counts = (self.rings, self.parts, self.features)
        return tuple(np.concatenate([[0], np.cumsum(count)]) for count in counts)

    @classmethod
    def of(cls, geometries: Any) -> _Flat:
        whole = [g if not g.is_empty else shapely.MultiPolygon() for g in geometries]
        coordinates = [
            [[list(ring.coords) for ring in (p.exterior, *p.interiors)] for p in g.geoms]
            for g in whole
        ]
        flat = _flat(coordinates)
        assert flat is not None
        return flat


def _parts(geometry: Any) -> tuple[str | None, Parts]:
    """Return what is wrong, or the parts of a geometry that have an area; rings are not checked."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "Polygon" or kind == "MultiPolygon":
        coordinates = geometry.get("coordinates")
        if isinstance(coordinates, list):
            parts = [coordinates] if kind == "Polygon" else coordinates
            return None, [part for part in parts if part]
    reason = problem(geometry)
    if reason or kind != "GeometryCollection":
        return reason, []
    polygons = areal(to_shapely(geometry))
    if polygons.is_empty:
        return None, []
    raw = from_shapely(polygons)["coordinates"]
    return None, [raw] if polygons.geom_type == "Polygon" else raw


def _flatten(outlines: list[_Outline]) -> _Flat | None:
    flat = _flat([outline.parts for outline in outlines])
    if flat is None or not len(flat.rings):
        return flat
    ends = np.cumsum(flat.rings)
    starts = ends - flat.rings
    if flat.rings.min() < 4 or not np.isfinite(flat.vertices).all():
        return None
    closed = (flat.vertices[starts] == flat.vertices[ends - 1]).all()
    return flat if closed else None


def _flat(features: list[Parts]) -> _Flat | None:
    """Flatten nested coordinates, quickly; None when they are not nested as they should be."""
    numbers = array("d")
    lengths: tuple[list[int], list[int], list[int]] = ([], [], [])
    try:
        for parts in features:
            lengths[2].append(len(parts))
            for rings in parts:
                lengths[1].append(len(rings))
                for ring in rings:
                    lengths[0].append(len(ring))
                    if set(map(len, ring)) == {2}:
                        numbers.extend(itertools.chain.from_iterable(ring))
                    else:
                        numbers.extend(itertools.chain.from_iterable(p[:2] for p in ring))
    except (TypeError, KeyError):
        return None
    if len(numbers) != 2 * sum(lengths[0]):
        return None
    vertices = np.frombuffer(numbers, np.float64).reshape(-1, 2)
    return _Flat(vertices, *(np.array(counts, np.int64) for counts in lengths))
