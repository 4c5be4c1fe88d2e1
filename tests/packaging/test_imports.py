"""Importing the package is light: no tensors, no slide library, no viewer."""

from __future__ import annotations

import json
import subprocess
import sys
import time

HEAVY = ("torch", "openslide", "napari", "qtpy", "numpy", "zarr", "diffusers")


def _loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_the_package_loads_nothing_heavy(record_property):
    start = time.perf_counter()
    bare = _loaded_by("pass")
    interpreter = time.perf_counter() - start
    loaded = _loaded_by("import napari_histoaug")
    record_property("import_seconds", time.perf_counter() - start - 2 * interpreter)
    assert "napari_histoaug" in loaded - bare
    assert not loaded & set(HEAVY)


def test_the_check_sees_a_heavy_import():
    assert "numpy" in _loaded_by("import numpy")


def test_discovering_the_plugin_loads_neither_torch_nor_openslide():
    discover = "from npe2 import PluginManager; PluginManager.instance().discover()"
    loaded = _loaded_by(discover)
    assert "npe2" in loaded
    assert not loaded & {"torch", "openslide", "diffusers"}
