"""The built wheel and an editable install, each in a clean environment, are found by npe2.

The clean environments hold nothing but npe2, what it needs, and setuptools, copied from the
environment that runs the tests, so that no network is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DISCOVER = """
import json, sys
from npe2 import PluginManager
manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-histoaug")
contributions = manifest.contributions
print(json.dumps({
    "readers": len(contributions.readers or []),
    "widgets": len(contributions.widgets or []),
    "heavy": sorted({"torch", "openslide", "napari"} & set(sys.modules)),
}))
"""


def _with_requirements(name: str, found: dict[str, metadata.Distribution]) -> None:
    """Collect a distribution and all that it requires without extras."""
    if name in found:
        return
    found[name] = metadata.distribution(name)
    for line in found[name].requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _with_requirements(requirement.name, found)


def _copy_into(site: Path, names: tuple[str, ...]) -> None:
    """Copy installed distributions into another environment's site-packages."""
    found: dict[str, metadata.Distribution] = {}
    for name in names:
        _with_requirements(name, found)
    for distribution in found.values():
        for file in distribution.files or []:
            if ".." in file.parts or file.suffix == ".pyc" or not file.locate().is_file():
                continue
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), target)


class CleanEnvironment:
    """A virtual environment with npe2 and setuptools only."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        scheme = {"base": str(folder), "platbase": str(folder)}
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.site = Path(sysconfig.get_path("purelib", "venv", scheme))
        _copy_into(self.site, ("npe2", "setuptools"))

    def run(self, *arguments: str) -> str:
        """Run the environment's Python away from the repository; return what it printed."""
        outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [str(self.python), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.site, env=outside, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *arguments: str) -> None:
        """Install with the test environment's pip, without dependencies and network."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install"]
        command += ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def discovered(self) -> dict[str, object]:
        """What npe2 finds in this environment."""
        return json.loads(self.run("-c", DISCOVER).splitlines()[-1])


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what a build reads, so that nothing is built inside the repository."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "napari_histoaug", folder / "napari_histoaug", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_every_file_of_the_package(wheel, source):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("napari_histoaug/")}
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "napari_histoaug").rglob("*")
        if path.is_file()
    }
    assert packed == wanted
    assert "napari_histoaug/napari.yaml" in packed


def test_the_wheel_carries_the_licence_and_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(n for n in names if n.endswith(".dist-info/entry_points.txt"))
        text = archive.read(entry_points).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "histoaug = napari_histoaug.cli:main" in text


def test_the_installed_wheel_is_found_by_napari(wheel, tmp_path):
    clean = CleanEnvironment(tmp_path / "clean")
    clean.install(str(wheel))
    found = clean.discovered()
    assert found["readers"] >= 1
    assert found["widgets"] >= 1
    assert found["heavy"] == []


def test_an_editable_install_is_found_by_napari(source, tmp_path):
    clean = CleanEnvironment(tmp_path / "clean")
    clean.install("--editable", str(source))
    where = clean.run("-c", "import napari_histoaug; print(napari_histoaug.__file__)").strip()
    assert Path(where).resolve() == (source / "napari_histoaug" / "__init__.py").resolve()
    found = clean.discovered()
    assert found["readers"] >= 1
    assert found["widgets"] >= 1
