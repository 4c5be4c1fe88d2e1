"""What works on this machine, one finding each."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable


def _check_python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _check_packages() -> str:
    from napari_histoaug.edits.versions import versions

    return ", ".join(f"{name} {version}" for name, version in versions("napari", "zarr").items())


def _check_qt() -> str:
    from napari_histoaug.edits.versions import version

    found = [name for name in ("PyQt5", "PyQt6", "PySide6") if version(name)]
    if not found:
        return "no Qt binding: install napari-histoaug[pyqt5] or [pyqt6] to open windows"
    return ", ".join(f"{name} {version(name)}" for name in found)


_OPENGL = """
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication([])
surface, context = QOffscreenSurface(), QOpenGLContext()
surface.create()
assert context.create() and context.makeCurrent(surface)
form = context.format()
print(f"{form.majorVersion()}.{form.minorVersion()} on the platform {app.platformName()}")
"""


def _check_opengl() -> str:
    # Qt ends the whole process when there is no display, so another process is asked.
    command = [sys.executable, "-W", "ignore", "-c", _OPENGL]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "does not answer; windows may not open here"
    lines = asked.stdout.strip().splitlines()
    if asked.returncode or not lines:
        return "no display or no OpenGL: windows cannot open here, the headless commands can run"
    return lines[-1]


def _check_devices() -> str:
    import torch

    from napari_histoaug.generation.device import available_devices

    names = ", ".join(available_devices())
    return f"{names} ({torch.get_num_threads()} threads), torch {torch.__version__}"


def _check_formats() -> str:
    import openslide
    import tifffile

    library = openslide.__library_version__
    return f"OpenSlide {library}, tifffile {tifffile.__version__} (TIFF, OME-TIFF), OME-Zarr"


def _check_model() -> str:
    from napari_histoaug.generation import load_generator

    generator = load_generator(device="cpu")
    weights = sum(parameter.numel() for parameter in generator.unet.parameters())
    classes = ", ".join(generator.classes)
    return f"{generator.name}, {weights / 1e6:.1f} M weights, {generator.mpp[0]} µm, {classes}"


CHECKS: dict[str, Callable[[], str]] = {
    "Python": _check_python,
    "packages": _check_packages,
    "Qt": _check_qt,
    "OpenGL": _check_opengl,
    "devices": _check_devices,
    "formats": _check_formats,
    "model": _check_model,
}
