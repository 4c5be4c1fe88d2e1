"""A GeoJSON document in memory: the parsed JSON is the source of truth.

Only what a caller edits differs when the document is written again; members this package does not
know stay as they were read.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from shapely.geometry.base import BaseGeometry

from napari_histoaug.annotations.classification import (
    DEFAULT_COLOR,
    Classification,
    Color,
    parse_classification,
    parse_color,
)
from napari_histoaug.annotations.frame import SLIDE_FRAME, Frame
from napari_histoaug.annotations.geometry import from_shapely, to_shapely
from napari_histoaug.annotations.problems import Problem

_OWN = "histoaug"


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
        # broken ones stay in the list as they were read, but are no features
        return tuple(c for c in self.properties[key] if isinstance(c, Feature)) if key else ()


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
    problems : list of Problem
        Features that cannot be used as they are: outlines that cross themselves (among the
        features all the same), and broken features (not among them).
    rejected : list of (int, object)
        The broken features, as parsed, by their place in the file; they are written back there.
    frame : Frame
        Where the coordinates count from; see :func:`~napari_histoaug.annotations.place_on`.
    """

    features: list[Feature]
    top: Any = None
    problems: list[Problem] = field(default_factory=list)
    rejected: list[tuple[int, Any]] = field(default_factory=list)
    frame: Frame = SLIDE_FRAME

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
        top, features = self.top, self._all()
        if isinstance(top, dict) and top.get("type") == "FeatureCollection":
            return {**top, "features": features}
        if isinstance(top, list):
            leaves = list(_leaves(top))
            same = len(leaves) == len(self.features) and all(
                a is b for a, b in zip(leaves, self.features, strict=True)
            )
            return top if same else features
        if len(features) != 1:
            return {"type": "FeatureCollection", "features": features}
        only = features[0]
        if not isinstance(only, Feature):
            return top
        if isinstance(top, dict) and top.get("type") != "Feature" and not only.properties:
            return only["geometry"]
        return only

    @property
    def stated_frame(self) -> str | None:
        """The name of the frame that a person chose for this file, or None."""
        own = self.top.get(_OWN) if isinstance(self.top, dict) else None
        name = own.get("frame") if isinstance(own, dict) else None
        return name if isinstance(name, str) else None

    def state_frame(self, name: str) -> None:
        """Keep the name of the frame with the document; a FeatureCollection has room for it."""
        if isinstance(self.top, dict) and self.top.get("type") == "FeatureCollection":
            self.top = {**self.top, _OWN: {**(self.top.get(_OWN) or {}), "frame": name}}

    def _all(self) -> list[Any]:
        """The features with the broken ones among them, at their old places if nothing moved."""
        together: list[Any] = list(self.features)
        for place, value in self.rejected:
            together.insert(min(place, len(together)), value)
        return together


def _leaves(value: Any) -> Iterator[Feature]:
    if isinstance(value, Feature):
        yield value
    elif isinstance(value, dict) and value.get("type") == "FeatureCollection":
        yield from _leaves(value["features"])
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
