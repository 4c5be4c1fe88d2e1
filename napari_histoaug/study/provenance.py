"""Whether any test tissue has touched what was taught, generated, chosen or selected."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from napari_histoaug.generation.donors import cut_donors
from napari_histoaug.learning.tissue import case_of, read_field
from napari_histoaug.models.checkpoints import read_json, sha256_of, write_json
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.pooling import MANIFEST
from napari_histoaug.study.preparing import DATA, DATA_FACTS, SPLITS, Places, field_of
from napari_histoaug.study.stages import PART
from napari_histoaug.study.teaching import CELLS, POOLS, START_FACTS, STARTS

PROVENANCE = "provenance.json"


def write_provenance(config: StudyConfig) -> Path:
    """Gather what a run's manifests say of where everything is from.

    Written are hashes of all fields, of the tissue and the donors each pool used, and the cases
    behind generator and shapes; :func:`leaks` compares them.
    """
    run, places = config.out, Places(config.out / DATA)
    splits = read_json(run / SPLITS)
    hashes = {
        split: {stem: sha256_of([field_of(config.tissue, stem)]) for stem in stems}
        for split, stems in splits.items()
    }
    facts = read_json(run / DATA_FACTS)
    shapes = json.loads(
        files("napari_histoaug.masks").joinpath("vessel_shapes.json").read_text("utf-8")
    )
    content = {
        "fields": hashes,
        "taught_on": facts["fields"],
        "starts": {
            path.parent.name: read_json(path)["fields"]
            for path in sorted(run.glob(f"{STARTS}/*/{START_FACTS}"))
            if path.parent.suffix != PART
        },
        "generator_cases": list(config.pools.generator_cases),
        "shape_cases": sorted({shape["case"] for shape in shapes["shapes"]}),
        "donors": _donors(config, facts["fields"], places),
        "pools": {
            path.parent.name: _used(path) for path in sorted(run.glob(f"{POOLS}/*/{MANIFEST}"))
        },
        "thresholds": _thresholds(run),
    }
    write_json(run / PROVENANCE, content)
    return run / PROVENANCE


def leaks(content: dict[str, Any]) -> list[str]:
    """What of the test, or of validation, was used where it must not be; empty when nothing.

    Parameters
    ----------
    content : dict
        As :func:`write_provenance` writes it.
    """
    fields = content["fields"]
    cases = {split: {case_of(Path(stem)) for stem in of} for split, of in fields.items()}
    taught = {fields["train"].get(stem) for stem in content["taught_on"]}
    found = []
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        found += [f"The case {case} is in {one} and {other}." for case in cases[one] & cases[other]]
        same = set(fields[one].values()) & set(fields[other].values())
        found += [f"A field is in {one} and {other} under two names." for _ in same]
    if None in taught:
        found.append("A field that taught is no training field.")
    for seed, stems in content.get("starts", {}).items():
        if set(stems) - set(content["taught_on"]):
            found.append(f"The start of seed {seed} was taught on other fields than its cells.")
    for name in ("generator", "shape"):
        wrong = set(content[f"{name}_cases"]) & (cases["validation"] | cases["test"])
        found += [f"The {name}s were made from the held-out {case}." for case in sorted(wrong)]
    for pool, used in content["pools"].items():
        if set(used["tissue"]) - taught:
            found.append(f"The pool {pool} starts from tissue outside the training fields.")
        if set(used["donors"]) - set(content["donors"]):
            found.append(f"The pool {pool} has donors from outside the training fields.")
    for cell, (validation, test) in content["thresholds"].items():
        if test is not None and test != validation:
            found.append(f"The cell {cell} was tested at a threshold not chosen on validation.")
    return found


def _donors(config: StudyConfig, stems: list[str], places: Places) -> list[str]:
    """Names of all vessels in the fields that taught, by their pixels."""
    found = set()
    for stem in stems:
        image, labels = read_field(field_of(config.tissue, stem), places.labels)
        pixel = (config.tissue.mpp, config.tissue.mpp)
        found |= {donor.id for donor in cut_donors(image, np.asarray(labels == 1), pixel)}
    return sorted(found)


def _used(manifest: Path) -> dict[str, list[str]]:
    table = parquet.read_table(manifest)
    donors = table.column("donors").to_pylist() if "donors" in table.column_names else []
    return {
        "tissue": sorted(set(table.column("source_sha256").to_pylist())),
        "donors": sorted({donor for row in donors if row for donor in row.split()}),
    }


def _thresholds(run: Path) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for path in sorted((run / CELLS).glob("*/scores-validation.json")):
        test = path.with_name("scores-test.json")
        found[path.parent.name] = [
            read_json(path)["threshold"],
            read_json(test)["threshold"] if test.exists() else None,
        ]
    return found
