"""The run that is kept under docs/study: from its manifests, no test tissue touched anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from napari_histoaug.learning.tissue import case_of
from napari_histoaug.models.checkpoints import sha256_of
from napari_histoaug.study.provenance import leaks

KEPT = Path(__file__).parents[2] / "docs" / "study"


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return json.loads((KEPT / "provenance.json").read_text())


def test_nothing_of_the_test_leaked(content: dict[str, Any]) -> None:
    assert leaks(content) == []
    assert {case_of(Path(stem)) for stem in content["fields"]["test"]} == {
        "ischemic-colitis",
        "breast-lobular-carcinoma",
    }


def test_manifests_name_no_tissue_but_that_of_the_training_fields(content: dict[str, Any]) -> None:
    taught = {content["fields"]["train"][stem] for stem in content["taught_on"]}
    held_out = set(content["fields"]["test"].values()) | set(
        content["fields"]["validation"].values()
    )
    manifests = sorted((KEPT / "manifests").glob("*.parquet"))
    assert {path.stem for path in manifests} == set(content["pools"])
    for path in manifests:
        rows = parquet.read_table(path).to_pylist()
        used = {row["source_sha256"] for row in rows}
        assert used <= taught
        assert not used & held_out
        donors = {donor for row in rows for donor in (row.get("donors") or "").split()}
        assert donors <= set(content["donors"])


def test_every_cell_was_tested_at_its_validation_threshold() -> None:
    cells = json.loads((KEPT / "results.json").read_text())["cells"]
    by_split = {
        split: {
            (c["recipe"], c["ratio"], c["seed"]): c["threshold"]
            for c in cells
            if c["split"] == split
        }
        for split in ("validation", "test")
    }
    assert by_split["test"]
    assert by_split["test"] == {cell: by_split["validation"][cell] for cell in by_split["test"]}


def test_hashes_are_those_of_the_fields(content: dict[str, Any], shared_data: Path) -> None:
    for split in content["fields"].values():
        stem = sorted(split)[0]
        assert sha256_of([shared_data / "tiles" / f"{stem}.jpg"]) == split[stem]
