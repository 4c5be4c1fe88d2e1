"""Reading GeoJSON: tolerant of everything QuPath has ever written, exact about what is broken."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari_histoaug.annotations.classification import parse_classification
from napari_histoaug.annotations.document import Document, Feature, children_key
from napari_histoaug.annotations.errors import AnnotationError, AnnotationWarning
from napari_histoaug.annotations.files import Member, empty, no_cycles, not_utf8, opened
from napari_histoaug.annotations.geometry import GEOMETRY_TYPES, problem
from napari_histoaug.annotations.outline_arrays import OutlineBuilder, Source
from napari_histoaug.annotations.problems import Problem, identity, listed
from napari_histoaug.errors import Cancelled

_PIECE = 2**22


def read_geojson(
    path: str | Path,
    *,
    encoding: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Document:
    """Read a GeoJSON file, plain, gzipped or zipped.

    A FeatureCollection, an array of features (nested ones too), a single Feature and a bare
    geometry are all read. Nothing is repaired. Features that are broken are listed in
    ``problems`` and kept out of ``features``; writing the document puts them back unchanged.

    For files of hundreds of megabytes that are only to be looked at, painted into masks or counted
    see :class:`~napari_histoaug.annotations.AnnotationIndex`.

    Parameters
    ----------
    path : path
    encoding : str, optional
        Text encoding when it is not UTF-8.
    progress : callable, optional
        Called with the bytes read and the bytes of the file.
    cancelled : callable, optional
        Asked now and then; True stops the reading.

    Returns
    -------
    Document

    Warns
    -----
    AnnotationWarning
        Once, naming the first broken features by index and id.

    Raises
    ------
    AnnotationError
        When the file cannot be read or is not GeoJSON.
    Cancelled
        When ``cancelled`` said so.
    """
    path = Path(path)
    try:
        with opened(path, encoding) as members:
            texts = [_text(member, path, progress, cancelled) for member in members]
        with no_cycles():
            parsed = [_parse(text, path.name) for text in texts]
            document = _document(parsed[0] if len(parsed) == 1 else parsed, path.name)
    except RecursionError as error:
        raise AnnotationError(
            f"{path.name} is nested too deeply to be an annotation file."
        ) from error
    _list_crossing(document)
    broken = [found for found in document.problems if not found.kept]
    if broken:
        warnings.warn(
            f"{len(broken)} features of {path.name} are broken and left out: {listed(broken)}.",
            AnnotationWarning,
            stacklevel=2,
        )
    return document


def _text(
    member: Member,
    path: Path,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> str:
    total = path.stat().st_size
    pieces = []
    while piece := member.stream.read(_PIECE):
        pieces.append(piece)
        if cancelled is not None and cancelled():
            raise Cancelled(f"Reading {path.name} was cancelled.")
        if progress is not None:
            progress(min(member.position(), total), total)
    content = b"".join(pieces)
    if not content.strip():
        raise empty(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error.start) from error


def _parse(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{file} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error


def _document(parsed: Any, file: str) -> Document:
    """Turn parsed JSON into a document: its features become Feature objects, in file order."""
    document = Document([], None)
    if isinstance(parsed, dict) and parsed.get("type") in GEOMETRY_TYPES:
        document.top = parsed
        _take(document, {"type": "Feature", "geometry": parsed, "properties": {}}, "The geometry")
        return document
    collection = isinstance(parsed, dict) and parsed.get("type") in ("FeatureCollection", "Feature")
    if not collection and not isinstance(parsed, list):
        raise AnnotationError(
            f"{file} is JSON but not GeoJSON; export the annotations as GeoJSON from QuPath."
        )

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(part) for part in value]
        if isinstance(value, dict) and value.get("type") == "FeatureCollection":
            if not isinstance(value.get("features"), list):
                raise AnnotationError(f"{file} holds a FeatureCollection without features.")
            return {**value, "features": convert(value["features"])}
        return _take(document, value, f"Feature {len(document.features) + len(document.rejected)}")

    document.top = convert(parsed)
    return document


def _take(document: Document, value: Any, place: str) -> Any:
    """Add a feature to the document, or to its list of broken ones; returns what it became."""
    feature = _feature(value, place, document.problems)
    if feature is None:
        document.rejected.append((len(document.features) + len(document.rejected), value))
        return value
    document.features.append(feature)
    return feature


def _feature(value: Any, place: str, problems: list[Problem]) -> Feature | None:
    reason = feature_problem(value)
    if reason:
        problems.append(Problem(place, identity(value), reason, kept=False))
        return None
    feature = Feature(value)
    properties = feature.properties
    key = children_key(properties)
    if key:
        children = [
            _feature(child, f"{place}, child {i},", problems) or child
            for i, child in enumerate(properties[key])
        ]
        feature["properties"] = {**properties, key: children}
    return feature


def feature_problem(value: Any) -> str | None:
    """Say in half a sentence why a parsed value cannot be used as a feature, or return None."""
    if not isinstance(value, dict) or value.get("type") != "Feature":
        return "is not a GeoJSON feature"
    properties = value.get("properties")
    if properties is not None and not isinstance(properties, dict):
        return "has properties that are not an object"
    text = problem(value.get("geometry"))
    if text:
        return text
    try:
        parse_classification((properties or {}).get("classification"))
    except ValueError as error:
        return f"has a classification that cannot be read ({error})"
    return None


def _list_crossing(document: Document) -> None:
    """List the polygons that cross themselves: they are kept, and repaired where they are used."""
    builder = OutlineBuilder()
    builder.add(Source(place, feature) for place, feature in _placed(document))
    document.problems += builder.problems


def _placed(document: Document) -> Iterator[tuple[str, Feature]]:
    taken = {place for place, _ in document.rejected}
    places = (i for i in itertools.count() if i not in taken)
    for place, feature in zip(places, document.features, strict=False):
        yield f"Feature {place}", feature
