"""Write the packaged bank of vessel shapes from outlines of real vessels and their fields.

    python training/vessel_shapes.py --tiles FOLDER [--annotations training/annotations/train]
        [--out napari_histoaug/masks/vessel_shapes.json] [--count 160]

Only vessels that lie whole in their field are taken, and only those whose lumen can be told from
the wall: plasma is pale, red cells are red. Cases of the test set must not be among them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.features import shapes as trace
from scipy import ndimage
from shapely.affinity import translate
from shapely.geometry import Polygon, shape

from napari_histoaug.annotations import read_geojson
from napari_histoaug.annotations.proposals import (
    ProposalSettings,
    optical_density,
    red_cell_mask,
)
from napari_histoaug.masks.polygons import polygons_to_mask

OUT = Path("napari_histoaug/masks/vessel_shapes.json")
MPP = 0.5
"""About, of the fields."""
AREAS = (150.0, 60_000.0)
LUMEN_SHARES = (0.12, 0.85)
SOURCE = (
    "Outlines drawn by the napari-histoaug developers on H&E fields (c) 2022 Pathology Atlas, "
    "MIT licence (docs/licences/pathologyatlas-MIT.txt). About 0.5 um a pixel."
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """A vessel and its lumen as polygons in pixels of their field (x, y)."""

    case: str
    vessel: Polygon
    lumen: Polygon


def main() -> None:
    """Read the command line, choose the shapes and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiles", type=Path, required=True, help="folder of the RGB fields")
    parser.add_argument("--annotations", type=Path, default=Path("training/annotations/train"))
    parser.add_argument(
        "--out", type=Path, default=Path("napari_histoaug/masks/vessel_shapes.json")
    )
    parser.add_argument("--count", type=int, default=160)
    given = parser.parse_args()
    found = [
        one
        for path in sorted(given.annotations.rglob("*.geojson"))
        for one in vessels_of(path, given.tiles)
    ]
    chosen = choose(found, given.count)
    document = {"source": SOURCE, "unit": "micrometer", "shapes": [entry(one) for one in chosen]}
    given.out.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")
    print(
        f"{len(chosen)} of {len(found)} vessels, {given.out.stat().st_size // 1000} kB: {given.out}"
    )


def vessels_of(path: Path, tiles: Path) -> list[Found]:
    """Return the vessels of one field whose lumen can be seen."""
    image = np.asarray(Image.open(tiles / f"{path.stem}.jpg").convert("RGB"))
    density = optical_density(image)
    inside = red_cell_mask(density) | (density.mean(axis=-1) < ProposalSettings().pale_density)
    found = []
    for feature in read_geojson(path).features:
        vessel = feature.geometry
        if feature.class_name != "blood_vessel" or not isinstance(vessel, Polygon):
            continue
        if not AREAS[0] <= vessel.area <= AREAS[1]:
            continue
        x0, y0, x1, y1 = vessel.bounds
        if min(x0, y0) <= 1 or x1 >= image.shape[1] - 1 or y1 >= image.shape[0] - 1:
            continue
        lumen = lumen_in(Polygon(vessel.exterior), inside)
        if lumen is not None:
            found.append(Found(path.parent.name, Polygon(vessel.exterior), lumen))
    return found


def lumen_in(vessel: Polygon, inside: Mask) -> Polygon | None:
    """Return the largest pale or red piece of a vessel, smoothed; None when it has none."""
    left, top, right, bottom = (int(side) for side in vessel.bounds)
    around = np.s_[top - 1 : bottom + 2, left - 1 : right + 2]
    corners = np.asarray(vessel.exterior.coords)[:, ::-1] - (top - 1, left - 1)
    mask = polygons_to_mask([corners], inside[around].shape)
    depth = ndimage.distance_transform_edt(mask)
    core = ndimage.binary_closing(inside[around] & (depth > 2.5), iterations=3) & (depth > 2.5)
    core = ndimage.binary_opening(ndimage.binary_fill_holes(core), iterations=2)
    soft = ndimage.gaussian_filter(core.astype(np.float32), 1.5) > 0.5
    parts, count = ndimage.label(soft & (depth > 2))
    if not count:
        return None
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    if not LUMEN_SHARES[0] <= largest.sum() / mask.sum() <= LUMEN_SHARES[1]:
        return None
    traced = [shape(geometry) for geometry, value in trace(largest.astype(np.uint8)) if value == 1]
    outline = max(traced, key=lambda polygon: polygon.area)
    return translate(Polygon(outline.exterior), left - 1, top - 1)


def choose(found: list[Found], count: int) -> list[Found]:
    """Take evenly from small to large, so that every size is there."""
    ordered = sorted(found, key=lambda one: one.vessel.area)
    picks = np.unique(
        np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    )
    return [ordered[index] for index in picks]


def entry(one: Found) -> dict[str, object]:
    """Return a shape as (y, x) in micrometres around the vessel's centroid."""
    centre = np.array(one.vessel.centroid.coords[0])

    def around(polygon: Polygon) -> list[list[float]]:
        corners = np.asarray(polygon.simplify(0.6).exterior.coords)[:-1] - centre
        rounded: list[list[float]] = np.round(corners[:, ::-1] * MPP, 1).tolist()
        return rounded

    return {"case": one.case, "vessel": around(one.vessel), "lumen": around(one.lumen)}


if __name__ == "__main__":
    main()
