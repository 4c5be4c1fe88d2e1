"""What was changed: generated pixels over a slide, their provenance, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_histoaug.edits.errors import EditError
    from napari_histoaug.edits.record import EditRecord
    from napari_histoaug.edits.store import EditStore

__all__ = ["EditError", "EditRecord", "EditStore"]

_HOMES = {"EditError": "errors", "EditRecord": "record", "EditStore": "store"}


def __getattr__(name: str) -> Any:
    # Only the store needs zarr and scipy, and not everyone who looks for edits needs the store.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
