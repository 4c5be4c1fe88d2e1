"""Small GeoJSON pieces for the tests of this room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SQUARE = [[10, 20], [40, 20], [40, 60], [10, 60], [10, 20]]
BOW_TIE = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]


def feature(rings: list, name: str | None = "blood_vessel", **members: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": "annotation"}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {
        "type": "Feature",
        "id": "6423a977-ffff-48db-affc-cd11632010f0",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": properties,
        **members,
    }


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def save(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
