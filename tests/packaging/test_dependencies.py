"""What an installation pulls in, read from pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6", "pyside6-essentials"}


def _requirements(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def test_the_base_install_pulls_no_qt_binding():
    base = _requirements(PROJECT["dependencies"])
    assert not set(base) & BINDINGS
    # napari[all] and napari[pyqt5] would pull one through an extra
    assert base["napari"].extras == set()


def test_the_extras_are_there():
    extras = PROJECT["optional-dependencies"]
    assert {"pyqt5", "pyqt6", "train", "study", "dev"} <= set(extras)
    assert set(_requirements(extras["pyqt5"])) == {"pyqt5"}
    assert set(_requirements(extras["pyqt6"])) == {"pyqt6"}


def test_security_floor_of_the_slide_library():
    assert "4.0.0.13" not in _requirements(PROJECT["dependencies"])["openslide-bin"].specifier
