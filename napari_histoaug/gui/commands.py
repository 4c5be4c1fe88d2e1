"""Commands of the menus and the command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari.viewer

from napari_histoaug.gui.actions import do
from napari_histoaug.gui.exporting import PAIR

if TYPE_CHECKING:
    from napari_histoaug.gui.widget import HistoaugWidget


def panel_of(viewer: napari.viewer.Viewer) -> HistoaugWidget:
    """The panels of a viewer, opened when they are not."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-histoaug", "Inpaint vessel")
    return widget


def paint_here(viewer: napari.viewer.Viewer) -> None:
    """Put the canvas over the view."""
    do(panel_of(viewer).controller, "paint_here")


def run(viewer: napari.viewer.Viewer) -> None:
    """Generate what is painted, or cancel."""
    do(panel_of(viewer).controller, "run")


def accept(viewer: napari.viewer.Viewer) -> None:
    """Keep the proposal."""
    do(panel_of(viewer).controller, "accept")


def reject(viewer: napari.viewer.Viewer) -> None:
    """Drop the proposal."""
    do(panel_of(viewer).controller, "reject")


def another(viewer: napari.viewer.Viewer) -> None:
    """Try again with other seeds."""
    do(panel_of(viewer).controller, "another")


def toggle(viewer: napari.viewer.Viewer) -> None:
    """Show the slide as it was, or the result."""
    do(panel_of(viewer).controller, "toggle")


def undo(viewer: napari.viewer.Viewer) -> None:
    """Take the last accepted edit back."""
    do(panel_of(viewer).controller, "undo")


def redo(viewer: napari.viewer.Viewer) -> None:
    """Put it in place again."""
    do(panel_of(viewer).controller, "redo")


def export(viewer: napari.viewer.Viewer) -> None:
    """Export what the panel *Export* says."""
    do(panel_of(viewer).controller, "export")


def export_pair(viewer: napari.viewer.Viewer) -> None:
    """Export the last accepted edit as image and mask."""
    controller = panel_of(viewer).controller
    controller.exporting.choose(PAIR)
    do(controller, "export")


def show_keys(viewer: napari.viewer.Viewer) -> None:
    """List the keys."""
    panel_of(viewer).show_keys()
