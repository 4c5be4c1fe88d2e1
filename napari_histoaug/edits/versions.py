"""Versions of installed packages."""

from __future__ import annotations

import importlib.metadata


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the software that makes pixels."""
    names = ("napari-histoaug", "torch", "numpy", *more)
    return {name: found for name in names if (found := version(name))}
