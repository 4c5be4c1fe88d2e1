"""What the repository holds: the agreed top level, and none of the data it is tested on."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "napari_histoaug",
    "training",
    "tests",
    "napari.yaml",
    "examples",
    "benchmarks",
    "docs",
    "Makefile",
    "mkdocs.yml",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    ".ci",
    ".github",
    ".gitignore",
}


def _tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the repository's git is not here (an unpacked source archive)")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_top_level_is_the_agreed_one():
    assert {path.relative_to(ROOT).parts[0] for path in _tracked()} == TOP_LEVEL


def test_the_continuous_integration_entry_is_executable():
    done = subprocess.run(
        ["git", "ls-files", "--stage", ".ci/run"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip("the repository's git is not here (an unpacked source archive)")
    assert done.stdout.startswith("100755")


def test_no_test_data_is_tracked(shared_data):
    """No tracked file is a copy of an image or of weights that are not ours to ship."""
    sizes = {}
    for path in shared_data.rglob("*"):
        # notices are text and may be reproduced; pictures, annotations and weights may not
        if path.is_file() and path.suffix not in {".md", ".txt"}:
            sizes.setdefault(path.stat().st_size, []).append(path)
    assert sizes
    for path in _tracked():
        if path.is_file() and path.stat().st_size in sizes and path.stat().st_size > 0:
            twins = {_sha256(twin) for twin in sizes[path.stat().st_size]}
            licence = path.is_relative_to(ROOT / "docs" / "licences")
            assert licence or _sha256(path) not in twins, f"{path} is a copy of shared data"


def test_no_slide_is_tracked():
    slides = {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".dcm"}
    assert [path for path in _tracked() if path.suffix in slides] == []
