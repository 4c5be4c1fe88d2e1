"""Some annotations as editable shapes, and back into their document.

Every ring is a shape of its own, a hole too: napari has no polygons with holes that can be drawn
on. A feature whose rings were not touched stays as it was read, to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import placement
from napari_histoaug.gui.outlines import polygon_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

    from napari_histoaug.annotations import Document, Feature
    from napari_histoaug.gui.annotation_view import AnnotationView

MOST = 2000
NEW = -1
_COLUMNS = ("feature", "part", "ring", "class")
Ring = tuple[int, int]


@dataclass(eq=False)
class Editing:
    """The features being edited.

    Attributes
    ----------
    layer : Shapes
        One polygon a ring, in level-0 pixels counted from ``corner``.
    corner : (float, float)
        (y, x) in the slide's level-0 pixels: napari keeps the corners of shapes in single
        precision, which is only fine near zero.
    features : dict of int to Feature
        By their number in reading order.
    rings : dict of int to dict of (part, ring) to array
        What their shapes looked like at first.
    """

    layer: Shapes
    corner: tuple[float, float]
    features: dict[int, Feature]
    rings: dict[int, dict[Ring, np.ndarray]]


def begin(
    viewer: ViewerModel,
    view: AnnotationView,
    box: tuple[int, int, int, int],
    class_name: str,
    origin: tuple[float, float],
) -> Editing:
    """Show the features in a level-0 box as shapes; ``class_name`` is that of new ones.

    Raises
    ------
    HistoaugError
        When the file is too large to be edited, or more than :data:`MOST` rings are in the box.
    """
    document = view.document
    if document is None:
        raise HistoaugError("This file is too large to be edited here; edit it in QuPath.")
    index = view.picture.index
    rows = [
        row
        for row in index.touching(box).tolist()
        if view.picture.name_of(row) not in view.picture.hidden
    ]
    walked = list(document.walk())
    features = {number: walked[number] for number in index.outlines.number[rows].tolist()}
    corner = (float(box[0]), float(box[1]))
    # napari has the centres of pixels at whole numbers, GeoJSON their edges
    move = np.array([document.frame.dy, document.frame.dx]) - corner - 0.5
    rings = {number: _rings(feature, move) for number, feature in features.items()}
    count = sum(map(len, rings.values()))
    if count > MOST:
        raise HistoaugError(
            f"{count} outlines are in view, more than the {MOST} that can be edited at once; "
            "zoom in."
        )
    layer = _shapes(viewer, view, rings, features, box, origin)
    draw_as(layer, view, class_name)
    layer.mode = "direct"
    viewer.layers.selection.active = layer
    return Editing(layer, corner, features, rings)


def draw_as(layer: Shapes, view: AnnotationView, class_name: str) -> None:
    """Give a class to what is drawn from now on."""
    # napari would also recolour and rename what is selected
    layer.selected_data = set()
    layer.feature_defaults = {"feature": NEW, "part": 0, "ring": 0, "class": class_name}
    layer.current_edge_color = _color(view, class_name)


def finish(editing: Editing, document: Document, colors: dict[str, tuple[int, int, int]]) -> int:
    """Put what was edited back into the document.

    Parameters
    ----------
    editing : Editing
    document : Document
        Changed in place.
    colors : dict of str to (int, int, int)
        Of the classes that new features may have.

    Returns
    -------
    int
        How many features were changed, added or taken away.
    """
    move = np.array(editing.corner) - (document.frame.dy, document.frame.dx) + 0.5
    now, new = _drawn(editing.layer)
    changed = 0
    for number, feature in editing.features.items():
        before, after = editing.rings[number], now.get(number, {})
        if _same(before, after):
            continue
        changed += 1
        shape = _geometry({ring: corners + move for ring, corners in after.items()})
        if shape.is_empty:
            take_out(document, feature)
        elif (feature["geometry"] or {}).get("type") == "MultiPolygon":
            parts = list(getattr(shape, "geoms", [shape]))
            feature.geometry = shapely.MultiPolygon(parts)
        else:
            feature.geometry = shape
    for corners, name in new:
        document.features.append(_made(corners + move, name, colors))
    return changed + len(new)


def _shapes(
    viewer: ViewerModel,
    view: AnnotationView,
    rings: dict[int, dict[Ring, np.ndarray]],
    features: dict[int, Feature],
    box: tuple[int, int, int, int],
    origin: tuple[float, float],
) -> Shapes:
    rows = [
        (number, part, ring, features[number].class_name or "")
        for number, of_feature in rings.items()
        for part, ring in of_feature
    ]
    corners = [ring for of_feature in rings.values() for ring in of_feature.values()]
    scale, translate = placement(box, (1.0, 1.0), view.scale, origin)
    options: dict[str, Any] = {}
    if corners:
        options = {
            "shape_type": "polygon",
            "features": pd.DataFrame(rows, columns=list(_COLUMNS)),
            "edge_color": [_color(view, row[3]) for row in rows],
        }
    return viewer.add_shapes(
        corners or None,
        name="editing annotations",
        ndim=2,
        scale=scale,
        translate=translate,
        units=view.units,
        axis_labels=("y", "x"),
        face_color="transparent",
        edge_width=2,
        **options,
    )


def _rings(feature: Feature, move: np.ndarray) -> dict[Ring, np.ndarray]:
    """The rings of a feature by (part, ring), (y, x) and not closed; ring 0 is the outer one."""
    geometry = feature.geometry
    polygons = [g for g in getattr(geometry, "geoms", [geometry]) if g.geom_type == "Polygon"]
    return {
        (part, ring): np.asarray(line.coords)[:-1, ::-1] + move
        for part, polygon in enumerate(polygons)
        for ring, line in enumerate((polygon.exterior, *polygon.interiors))
    }


def _drawn(
    layer: Shapes,
) -> tuple[dict[int, dict[Ring, np.ndarray]], list[tuple[np.ndarray, str]]]:
    """The rings of known features as they are now, and new closed shapes with their class."""
    known: dict[int, dict[Ring, np.ndarray]] = {}
    new = []
    rows = layer.features.to_dict("records")
    for data, kind, row in zip(layer.data, layer.shape_type, rows, strict=True):
        if kind in ("line", "path"):
            continue
        corners = polygon_of(data, kind).astype(float)
        number = row.get("feature", NEW)
        if pd.isna(number) or int(number) == NEW:
            new.append((corners, str(row.get("class", ""))))
        else:
            known.setdefault(int(number), {})[int(row["part"]), int(row["ring"])] = corners
    return known, new


def _same(before: dict[Ring, np.ndarray], after: dict[Ring, np.ndarray]) -> bool:
    return before.keys() == after.keys() and all(
        # what napari keeps of the corners it was given
        np.array_equal(ring.astype(np.float32), after[key].astype(np.float32))
        for key, ring in before.items()
    )


def _geometry(rings: dict[Ring, np.ndarray]) -> Any:
    """The polygon of rings; a part without its outer ring is gone with its holes."""
    parts = []
    for part in sorted({part for part, ring in rings if ring == 0}):
        numbers = sorted(ring for of_part, ring in rings if of_part == part)
        outer, *holes = (rings[part, ring][:, ::-1].round(2) for ring in numbers)
        parts.append(shapely.Polygon(outer, holes))
    if not parts:
        return shapely.Polygon()
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _made(corners: np.ndarray, name: str, colors: dict[str, tuple[int, int, int]]) -> Feature:
    from napari_histoaug.annotations import Feature

    shape = shapely.Polygon(corners[:, ::-1].round(2))
    return Feature.new(shape, name, colors[name]) if name in colors else Feature.new(shape)


def take_out(document: Document, feature: Feature) -> None:
    """Remove a feature from the document or from the list of its parent."""
    from napari_histoaug.annotations.document import children_key

    if any(one is feature for one in document.features):
        document.features[:] = [one for one in document.features if one is not feature]
        return
    for parent in document.walk():
        key = children_key(parent.properties)
        if key and any(child is feature for child in parent.properties[key]):
            children = [child for child in parent.properties[key] if child is not feature]
            parent["properties"] = {**parent.properties, key: children}
            return


def _color(view: AnnotationView, class_name: str) -> np.ndarray:
    found = (c.color for c in view.picture.classes if c.name == class_name)
    return np.array([*next(found, (64, 64, 64)), 255]) / 255
