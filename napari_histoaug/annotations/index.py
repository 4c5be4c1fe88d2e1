"""All polygons of an annotation file in compact arrays: for any number of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from napari_histoaug.annotations.classification import Color
from napari_histoaug.annotations.document import Document
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.annotations.files import (
    Member,
    empty,
    first_bad_byte,
    no_cycles,
    not_utf8,
    opened,
)
from napari_histoaug.annotations.frame import SLIDE_FRAME, Frame
from napari_histoaug.annotations.geometry import GEOMETRY_TYPES
from napari_histoaug.annotations.outline_arrays import (
    Kind,
    OutlineArrays,
    OutlineBuilder,
    Source,
)
from napari_histoaug.annotations.problems import Problem
from napari_histoaug.annotations.scanning import CutOffError, FeatureText
from napari_histoaug.errors import Cancelled


class AnnotationIndex:
    """The polygons of a document or of a file, ready to be painted, counted and found.

    About 80 bytes a polygon stay in memory; the vertices of a file lie in a temporary file.

    Attributes
    ----------
    outlines : OutlineArrays
        One entry a feature that has an area, in file order, children after their parents; those
        that cross themselves are repaired.
    kinds : list of (str or None, str or None)
        Class and, for what has none, name of the features; ``outlines.kind`` points into it.
    colors : list of ((red, green, blue) or None)
        The colour that the file gives to each kind.
    count : int
        How many features there are, those without an area too.
    problems : list of Problem
    mark : SlideMark or None
        Which slide they were exported for, when the file says so.
    frame : Frame
        Where the coordinates count from; all methods take the slide's level-0 pixels.
    stated_frame : str or None
        The name of the frame that a person chose.
    """

    def __init__(self, builder: OutlineBuilder, frame: Frame = SLIDE_FRAME) -> None:
        self.outlines: OutlineArrays = builder.finish()
        self.kinds: list[Kind] = builder.kinds
        self.colors: list[Color | None] = builder.colors
        self.count = builder.count
        self.problems: list[Problem] = builder.problems
        self.mark = builder.mark
        self.frame = frame
        self.stated_frame: str | None = None

    def __len__(self) -> int:
        """How many features have an area."""
        return len(self.outlines)

    @classmethod
    def from_document(cls, document: Document) -> AnnotationIndex:
        """Make the index of a document as it is now."""
        builder = OutlineBuilder()
        builder.add(Source(f"Feature {i}", f) for i, f in enumerate(document.features))
        index = cls(builder, document.frame)
        index.problems = list(document.problems)
        index.stated_frame = document.stated_frame
        return index

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        encoding: str | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> AnnotationIndex:
        """Make the index of a file, feature by feature: its text is never in memory as a whole.

        Parameters
        ----------
        path : path
        encoding : str, optional
            Text encoding when it is not UTF-8.
        progress : callable, optional
            Called with the bytes read and the bytes of the file.
        cancelled : callable, optional
            Asked every few megabytes; True stops the reading.

        Raises
        ------
        AnnotationError
            When the file cannot be read or is not GeoJSON. Broken features are listed in
            ``problems``.
        Cancelled
            When ``cancelled`` said so.
        """
        path = Path(path)
        builder = OutlineBuilder(spooled=True)
        try:
            with opened(path, encoding) as members:
                total = path.stat().st_size
                for member in members:
                    for sources in _sources(member, path):
                        builder.add(sources)
                        if cancelled is not None and cancelled():
                            raise Cancelled(f"Reading {path.name} was cancelled.")
                        if progress is not None:
                            progress(min(member.position(), total), total)
        except RecursionError as error:
            raise AnnotationError(
                f"{path.name} is nested too deeply to be an annotation file."
            ) from error
        return cls(builder)

    def class_counts(self) -> dict[str | None, int]:
        """Count the features with an area of each class; None counts the unclassified ones."""
        counts: dict[str | None, int] = {}
        numbers = np.bincount(self.outlines.kind, minlength=len(self.kinds))
        for (name, _), count in zip(self.kinds, numbers.tolist(), strict=True):
            if count:
                counts[name] = counts.get(name, 0) + count
        return counts

    def touching(self, box: tuple[float, float, float, float]) -> NDArray[np.int64]:
        """Return the features whose bounding box touches a box (y, x, height, width)."""
        y, x = box[0] - self.frame.dy, box[1] - self.frame.dx
        x0, y0, x1, y1 = self.outlines.bounds.T
        hit = (x0 <= x + box[3]) & (x1 >= x) & (y0 <= y + box[2]) & (y1 >= y)
        return np.flatnonzero(hit)

    def at(self, y: float, x: float) -> list[int]:
        """Return the features that a point of the slide lies in, the smallest first."""
        near = self.touching((y, x, 0, 0))
        point = (x - self.frame.dx, y - self.frame.dy)
        inside = [int(i) for i in near if shapely.contains_xy(self.outlines.geometry(i), *point)]
        return sorted(inside, key=lambda i: float(self.outlines.area[i]))


def _sources(member: Member, path: Path) -> Iterator[list[Source]]:
    """Yield what stands where features should, parsed, in batches."""
    text = FeatureText(member.stream)
    count = 0
    try:
        for batch in text.batches():
            if text.whole:
                yield _single(batch[0], path)
                return
            with no_cycles():
                parsed = _parsed(batch, path, count)
                values = [value for element in parsed for value in _leaves(element)]
                yield [Source(f"Feature {count + i}", value) for i, value in enumerate(values)]
            count += len(values)
    except CutOffError:
        raise AnnotationError(
            f"{path.name} is not valid JSON: it is cut off after feature {count - 1}; "
            "copy or export it again."
        ) from None


def _parsed(batch: list[bytes], path: Path, first: int) -> list[Any]:
    try:
        values: list[Any] = orjson.loads(b"[" + b",".join(batch) + b"]")
        return values
    except orjson.JSONDecodeError:
        # more tolerant (NaN, long numbers), and it says what is wrong where
        return [_slowly(element, path, first + i) for i, element in enumerate(batch)]


def _slowly(element: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(element.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise not_utf8(path, first_bad_byte(path)) from error
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path.name} is not valid JSON: {error.msg} in feature {number}."
        ) from error


def _single(content: bytes, path: Path) -> list[Source]:
    """A text without a list of features: one feature, or a bare geometry."""
    if not content.strip():
        raise empty(path)
    try:
        value = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise not_utf8(path, error.start) from error
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path.name} is not valid JSON: {error.msg} in line {error.lineno}, "
            f"column {error.colno}."
        ) from error
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in GEOMETRY_TYPES:
        value = {"type": "Feature", "geometry": value, "properties": {}}
        return [Source("The geometry", value)]
    if kind == "FeatureCollection":
        raise AnnotationError(f"{path.name} holds a FeatureCollection without features.")
    if kind != "Feature":
        raise AnnotationError(
            f"{path.name} is JSON but not GeoJSON; export the annotations as GeoJSON from QuPath."
        )
    return [Source("Feature 0", value)]


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the features of a collection within a list, or the value itself."""
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        for part in value.get("features") or ():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
