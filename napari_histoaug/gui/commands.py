"""Commands of the menus and the command palette."""

from __future__ import annotations

import napari.viewer
from napari.utils.notifications import show_warning


def export_pair(viewer: napari.viewer.Viewer) -> None:
    """Export the last accepted edit through the panel *Inpaint vessel*, opened when it is not."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-histoaug", "Inpaint vessel")
    reason = widget.controller.why_not.export()
    if reason is None:
        widget.controller.export_pair()
    else:
        show_warning(reason)
