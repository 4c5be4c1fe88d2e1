"""A GeoJSON document in memory: the parsed JSON is the source of truth.

Only what a caller edits differs when the document is written again; members this package does not
know stay as they were read.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations.classification import (
    DEFAULT_COLOR,
    Classification,
    Color,
    parse_classification,
    parse_color,
)
from napari_histoaug.annotations.geometry import from_shapely, to_shapely


class Feature(dict[str, Any]):
    """One annotation: the parsed JSON object itself, with a few convenient views of it.

    Editing an entry (``feature["properties"]["name"] = ...``) and setting an attribute are the
    same thing; everything not touched is written as it was read.
    """

    @classmethod
    def new(
        cls, geometry: BaseGeometry, class_name: str | None = None, color: Color = DEFAULT_COLOR
    ) -> Feature:
        """Make an annotation from a shapely geometry in full-resolution (x, y) pixels."""
        feature = cls(type="Feature", id=str(uuid.uuid4()))
        feature["geometry"] = from_shapely(geometry)
        feature["properties"] = {"objectType": "annotation"}
        if class_name is not None:
            feature.set_class(class_name, color)
        return feature

    @property
    def properties(self) -> dict[str, Any]:
        """The properties; an empty dictionary of its own when the file has none."""
        return self.get("properties") or {}

    @property
    def geometry(self) -> BaseGeometry:
        """The shapely geometry, (x, y) in full-resolution pixels; empty when there is none."""
        return to_shapely(self.get("geometry"))

    @geometry.setter
    def geometry(self, geometry: BaseGeometry) -> None:
        self["geometry"] = from_shapely(geometry, self.get("geometry"))

    @property
    def name(self) -> str | None:
        """The name the expert gave to this object (not its class)."""
        name = self.properties.get("name")
        return name if isinstance(name, str) else None

    @property
    def classification(self) -> Classification | None:
        """Class name and colour, whatever form the file uses; None when not classified."""
        return parse_classification(self.properties.get("classification"))

    @property
    def class_name(self) -> str | None:
        """The class name, derived classes joined by ``": "``; None when not classified."""
        classification = self.classification
        return classification.name if classification else None

    @property
    def color(self) -> Color | None:
        """The colour of the object or else of its class, (red, green, blue)."""
        own = parse_color(self.properties.get("color"))
        classification = self.classification
        return own or (classification.color if classification else None)

    def set_class(self, name: str, color: Color) -> None:
        """Classify the feature; QuPath needs the colour, so it is not optional."""
        self["properties"] = {
            **self.properties,
            "classification": {"name": name, "color": list(color)},
        }

    @property
    def children(self) -> tuple[Feature, ...]:
        """The objects below this one, when QuPath exported its hierarchy."""
        key = children_key(self.properties)
        return tuple(self.properties[key]) if key else ()


def children_key(properties: dict[str, Any]) -> str | None:
    """Return the member that holds the children, by either of its names, or None."""
    keys = (key for key in ("childObjects", "children") if isinstance(properties.get(key), list))
    return next(keys, None)


@dataclass
class Document:
    """A GeoJSON document.

    Attributes
    ----------
    features : list of Feature
        In file order; edit, add to and take from it freely.
    top : object
        The parsed JSON around (and with) the features as they were read.
    """

    features: list[Feature]
    top: Any = None

    @classmethod
    def from_features(cls, features: Iterable[Feature]) -> Document:
        """Make a new FeatureCollection."""
        return cls(list(features), {"type": "FeatureCollection", "features": []})

    def walk(self) -> Iterator[Feature]:
        """Yield every feature, and after each one the objects below it."""
        stack = list(reversed(self.features))
        while stack:
            feature = stack.pop()
            yield feature
            stack.extend(reversed(feature.children))

    def class_counts(self) -> Counter[str | None]:
        """Count the features of each class name; None counts the unclassified ones."""
        return Counter(feature.class_name for feature in self.walk())

    def to_json(self) -> Any:
        """Return the JSON to write, in the form the file had as far as it can still hold it."""
        top = self.top
        if isinstance(top, dict) and top.get("type") == "FeatureCollection":
            return {**top, "features": self.features}
        if isinstance(top, list):
            leaves = list(_leaves(top))
            same = len(leaves) == len(self.features) and all(
                a is b for a, b in zip(leaves, self.features, strict=True)
            )
            return top if same else self.features
        if len(self.features) != 1:
            return {"type": "FeatureCollection", "features": self.features}
        only = self.features[0]
        if isinstance(top, dict) and top.get("type") != "Feature" and not only.properties:
            return only["geometry"]
        return only


def _leaves(value: Any) -> Iterator[Feature]:
    if isinstance(value, Feature):
        yield value
    elif isinstance(value, dict):
        yield from _leaves(value["features"])
    else:
        for part in value:
            yield from _leaves(part)
