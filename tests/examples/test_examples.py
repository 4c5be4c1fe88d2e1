"""Every example runs as it is, in a process of its own, on a small slide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from napari_histoaug.annotations import Document, Feature, write_geojson
from napari_histoaug.slides import open_slide

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TESTED = {
    "ten_lines.py", "inpaint_from_python.py", "inpaint_outlines.py", "extract_patches.py",
    "train_tiny_model.py", "compare_segmentations.py", "open_slide_with_zarr.py",
    "first_vessel.ipynb",
}  # fmt: skip


@pytest.fixture
def slide(make_pyramid_tiff) -> Path:
    return make_pyramid_tiff(shapes=[(700, 900), (350, 450)]).path


@pytest.fixture
def run(tmp_path):
    """Run a script, or code, in a folder of the test's own; returns what it printed."""
    folder = tmp_path / "here"
    folder.mkdir()

    def execute(*command: object, **environment: str) -> str:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    execute.folder = folder
    return execute


def test_every_example_is_here():
    found = {p.name for p in EXAMPLES.iterdir() if p.suffix in (".py", ".ipynb")}
    assert found == TESTED


def test_ten_lines(run, slide):
    lines = (EXAMPLES / "ten_lines.py").read_text().rpartition("fetch_sample\n\n")[2].splitlines()
    assert len(lines) <= 10
    run(EXAMPLES / "ten_lines.py", slide, 100, 200)
    with open_slide(slide) as opened:
        before = opened.read_block(0, 100, 200, 256, 256)
    after = np.asarray(Image.open(run.folder / "vessel.png"))
    changed = (before != after).any(axis=-1)
    assert 1000 < changed.sum() < 20_000


def test_inpaint_outlines(run, slide, tmp_path):
    circles = [shapely.Point(x, 300).buffer(20) for x in (300, 600)]
    outlines = tmp_path / "outlines.geojson"
    features = [Feature.new(c, "blood_vessel") for c in circles]
    write_geojson(Document.from_features(features), outlines)
    said = run(EXAMPLES / "inpaint_outlines.py", slide, outlines)
    assert "2 pairs" in said
    assert len(list((run.folder / "runs" / "outlines" / "pairs").glob("*_mask.png"))) == 2


def test_extract_patches(run, slide):
    said = run(EXAMPLES / "extract_patches.py", slide)
    assert "the first is (3, 128, 128), its mask (128, 128)" in said


def test_train_a_tiny_model(run):
    said = run(EXAMPLES / "train_tiny_model.py", 16)
    assert float(said.split()[-1]) > 0.7


def test_compare_segmentations(run):
    said = run(EXAMPLES / "compare_segmentations.py")
    assert "vessels (overlap of at least half): 3 in both, 1 invented, 1 missed" in said
    assert len(np.unique(np.asarray(Image.open(run.folder / "errors.png")).reshape(-1, 3), axis=0))


def test_the_two_scripts_that_were_here_first(run, slide):
    assert "of the slide is tissue" in run(EXAMPLES / "open_slide_with_zarr.py", slide)
    run(EXAMPLES / "inpaint_from_python.py", slide, 100, 200)
    assert (run.folder / "runs" / "example" / "after.png").is_file()


def test_the_notebook(run, slide):
    notebook = json.loads((EXAMPLES / "first_vessel.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    code = "\n".join(cell["source"] for cell in cells)
    assert "evaluations" in run("-c", code, SLIDE=str(slide), PLACE="100 200")
