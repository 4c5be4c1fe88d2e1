"""Score a segmenter on annotated fields: pixels and objects, with intervals.

    python training/score_fields.py --segmenter FOLDER --tiles FOLDER --annotations FOLDER
        --out FILE.json [--teach-filter FOLDER | --filter FOLDER]

A field is `<case>/<field>.geojson` among the annotations; all of it counts but classes that end in
`*`. Objects smaller than 20 um^2 are not counted as found. Intervals are of 2,000 bootstrap
samples of fields. `--teach-filter` teaches a filter for false positives on these fields and writes
it; its effect is printed case by case, each filtered by what the others taught. `--filter` applies
one that was written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from compare_outlines import objects_of

from napari_histoaug.annotations import rasterize_geometry, read_geojson
from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.tissue import case_of, find_fields, read_field
from napari_histoaug.metrics import Confusion, confusion, match_objects
from napari_histoaug.metrics.intervals import bootstrap, pooled
from napari_histoaug.segmentation import Segmenter, load_segmenter
from napari_histoaug.study.config import FilterConfig
from napari_histoaug.study.filtering import (
    Finding,
    cross_filtered,
    filtered_by,
    found_in,
    keep_filter,
)

LEAST_AREA = 20.0  # square micrometres, as in predict_slides.py
FIGURES = ("dice", "precision", "recall")

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """What was found in one field, and its vessels, numbered from 1 (H, W)."""

    finding: Finding
    vessels: npt.NDArray[np.int32]


def main() -> int:
    """Read the command line, score, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--segmenter", default=None, help="name or folder; the bundled one if left")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of RGB fields")
    parser.add_argument("--annotations", type=Path, required=True, help="<case>/<field>.geojson")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--teach-filter", type=Path, help="folder of the filter to write")
    parser.add_argument("--filter", type=Path, help="folder of a filter to apply")
    options = parser.parse_args()
    try:
        segmenter = load_segmenter(options.segmenter, "cpu")
        config = FilterConfig(least_area=round(LEAST_AREA / float(np.prod(segmenter.mpp))))
        fields = list(scored(segmenter, options.tiles, options.annotations, config))
        findings = [field.finding for field in fields]
        table = rows("", fields, {f.name: f.found for f in findings})
        if options.teach_filter is not None:
            keep_filter(options.teach_filter, findings, config, 0)
            table |= rows("filtered ", fields, cross_filtered(findings, config, 0))
        elif options.filter is not None:
            table |= rows("filtered ", fields, filtered_by(options.filter, findings))
    except HistoaugError as error:
        print(error)
        return 1
    for name, row in table.items():
        print(f"{name:48s} " + "  ".join(f"{key} {value}" for key, value in row.items()))
    facts = {"segmenter_sha256": segmenter.sha256, "thresholds": segmenter.index.thresholds}
    options.out.write_text(json.dumps({**facts, "figures": table}, indent=2) + "\n", "utf-8")
    return 0


def scored(
    segmenter: Segmenter, tiles: Path, annotations: Path, config: FilterConfig
) -> Iterator[Scored]:
    """Look for vessels in every annotated field, the whole field at once.

    Raises
    ------
    HistoaugError
        When there is no annotation, or a field is missing.
    """
    outlines = {path.stem: path for path in sorted(annotations.glob("*/*.geojson"))}
    if not outlines:
        raise HistoaugError(f"{annotations} holds no <case>/<field>.geojson; check its name.")
    cases = sorted({case_of(path) for path in outlines.values()})
    for path in find_fields(tiles, cases):
        if path.stem not in outlines:
            continue
        image, _ = read_field(path, None)
        probability = segmenter.probabilities(image[None])[0]
        known = ~ignored(outlines[path.stem], image.shape[:2])
        found = (segmenter.labels(probability) == 1) & known
        vessels = objects_of(outlines[path.stem], segmenter.classes[0], image.shape[:2])
        vessels[~known] = 0
        yield Scored(found_in(path.stem, image, found, vessels > 0, config), vessels)


def ignored(path: Path, size: tuple[int, int]) -> Bool:
    """Where classes that end in ``*`` lie, bool (H, W)."""
    mask = np.zeros(size, np.bool_)
    for feature in read_geojson(path).walk():
        if feature.class_name is not None and feature.class_name.endswith("*"):
            mask |= rasterize_geometry(feature.geometry, (0, 0, *size))
    return mask


def rows(kind: str, fields: list[Scored], found: Mapping[str, Bool]) -> dict[str, dict[str, str]]:
    """Figures of pixels and objects, of each case and of all, with their intervals."""
    table = {}
    cases = sorted({s.finding.case for s in fields})
    for what in ("pixels", "objects"):
        counts = {s.finding.name: counted(what, s, found[s.finding.name]) for s in fields}
        for case in (*cases, "all"):
            some = [c for name, c in counts.items() if case in ("all", case_of(Path(name)))]
            table[f"{kind}{what}, {case}"] = {name: interval(some, name) for name in FIGURES}
    return table


def counted(what: str, field: Scored, found: Bool) -> Confusion:
    """Counts of a field's pixels or objects, these matched at an IoU of a half."""
    if what == "pixels":
        return confusion(field.vessels, found)
    finding = field.finding
    large = found & np.isin(finding.numbered, finding.judged)
    return match_objects(field.vessels, np.where(large, finding.numbered, 0)).counts


def interval(counts: list[Confusion], name: str) -> str:
    """A figure of all the fields, with its interval over fields."""
    return str(bootstrap([[c] for c in counts], lambda items: pooled(items, name)))


if __name__ == "__main__":
    raise SystemExit(main())
