"""What the user set on napari's Preferences page for this plugin."""

from __future__ import annotations

from dataclasses import dataclass

from napari_histoaug.gui.canvas import CANVAS_LIMIT


@dataclass(frozen=True)
class Preferences:
    """The manifest's ``configurations``, with the same defaults."""

    device: str = "auto"
    model: str | None = None
    canvas_pixels: int = CANVAS_LIMIT


def preferences() -> Preferences:
    """The user's preferences; the defaults before napari 0.9 and where the plugin is not found."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return Preferences()
    try:
        chosen = get_plugin_settings("napari-histoaug").generate
    except KeyError:
        return Preferences()
    return Preferences(chosen.device, chosen.model.strip() or None, int(chosen.canvas_pixels))
