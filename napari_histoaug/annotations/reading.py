"""Reading GeoJSON: tolerant of everything QuPath has ever written, exact about what is broken."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_histoaug.annotations.classification import parse_classification
from napari_histoaug.annotations.document import Document, Feature, children_key
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.geometry import GEOMETRY_TYPES, problem


def read_geojson(path: str | Path) -> Document:
    """Read a GeoJSON file, plain or gzipped.

    A FeatureCollection, an array of features (nested ones too), a single Feature and a bare
    geometry are all read. Nothing is repaired or dropped.

    Parameters
    ----------
    path : path

    Returns
    -------
    Document

    Raises
    ------
    AnnotationError
        When the file cannot be read, is not GeoJSON, or holds a broken feature; the sentence
        names the feature by its index.
    """
    path = Path(path)
    parsed = _parse(_text(path), path.name)
    try:
        if isinstance(parsed, dict) and parsed.get("type") in GEOMETRY_TYPES:
            feature = Feature(type="Feature", geometry=parsed, properties={})
            features = [_checked(feature, "The geometry", path.name)]
        else:
            parsed, features = _with_features(parsed, path.name)
    except RecursionError as error:
        raise AnnotationError(
            f"{path.name} is nested too deeply to be an annotation file."
        ) from error
    return Document(features, parsed)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise AnnotationError(f"There is no annotation file {path}; check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AnnotationError(
            f"{path.name} is a damaged gzip file; copy or export it again."
        ) from error
    except OSError as error:
        raise AnnotationError(
            f"The annotation file {path} cannot be read ({error.strerror or error})."
        ) from error
    if content[:4] == b"PK\x03\x04":
        raise AnnotationError(
            f"{path.name} is a zip archive; unpack it and choose the GeoJSON file inside."
        )
    if not content.strip():
        raise AnnotationError(f"{path.name} is empty; export the annotations again.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path.name} is not UTF-8 text; export the annotations again with a newer QuPath."
        ) from error


def _parse(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{file} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise AnnotationError(f"{file} is nested too deeply to be an annotation file.") from error


def _with_features(parsed: Any, file: str) -> tuple[Any, list[Feature]]:
    """Return the parsed JSON with its features as Feature objects, and these in file order."""
    found: list[Feature] = []

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(part) for part in value]
        if isinstance(value, dict) and value.get("type") == "FeatureCollection":
            if not isinstance(value.get("features"), list):
                raise AnnotationError(f"{file} holds a FeatureCollection without features.")
            return {**value, "features": convert(value["features"])}
        feature = _feature(value, f"Feature {len(found)} (counting from 0)", file)
        found.append(feature)
        return feature

    collection = isinstance(parsed, dict) and parsed.get("type") in ("FeatureCollection", "Feature")
    if not collection and not isinstance(parsed, list):
        raise AnnotationError(
            f"{file} is JSON but not GeoJSON; export the annotations as GeoJSON from QuPath."
        )
    return convert(parsed), found


def _feature(value: Any, where: str, file: str) -> Feature:
    if not isinstance(value, dict) or value.get("type") != "Feature":
        raise AnnotationError(f"{where} of {file} is not a GeoJSON feature.")
    feature = Feature(value)
    _checked(feature, where, file)
    properties = feature.properties
    key = children_key(properties)
    if key:
        children = [
            _feature(child, f"{where}, child {i},", file) for i, child in enumerate(properties[key])
        ]
        feature["properties"] = {**properties, key: children}
    return feature


def _checked(feature: Feature, where: str, file: str) -> Feature:
    for text in _problems(feature):
        raise AnnotationError(f"{where} of {file} {text}; correct or delete it.")
    return feature


def _problems(feature: Feature) -> Iterator[str]:
    properties = feature.get("properties")
    if properties is not None and not isinstance(properties, dict):
        yield "has properties that are not an object"
        return
    text = problem(feature.get("geometry"))
    if text:
        yield text
    try:
        parse_classification(feature.properties.get("classification"))
    except ValueError as error:
        yield f"has a classification that cannot be read ({error})"
