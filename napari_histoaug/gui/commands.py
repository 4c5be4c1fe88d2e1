"""Commands of the menus and the command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari.viewer

from napari_histoaug.gui import compare_actions
from napari_histoaug.gui.actions import do
from napari_histoaug.gui.exporting import PAIR

if TYPE_CHECKING:
    from napari_histoaug.gui.compare_widget import FindAndCompareWidget
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


def finding_panels_of(viewer: napari.viewer.Viewer) -> FindAndCompareWidget:
    """The panels *Find and compare* of a viewer, opened when they are not."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-histoaug", "Find and compare")
    return widget


def find_vessels(viewer: napari.viewer.Viewer) -> None:
    """Find vessels, or cancel."""
    compare_actions.do(finding_panels_of(viewer).desk, "find_vessels")


def compare(viewer: napari.viewer.Viewer) -> None:
    """Compare truth and prediction."""
    compare_actions.do(finding_panels_of(viewer).desk, "compare")


def next_error(viewer: napari.viewer.Viewer) -> None:
    """Fly to the next error."""
    compare_actions.do(finding_panels_of(viewer).desk, "next_error")


def previous_error(viewer: napari.viewer.Viewer) -> None:
    """Fly to the error before."""
    compare_actions.do(finding_panels_of(viewer).desk, "previous_error")


def settle_error(viewer: napari.viewer.Viewer) -> None:
    """Correct the truth where the prediction is right."""
    compare_actions.do(finding_panels_of(viewer).desk, "settle_error")


def show_keys(viewer: napari.viewer.Viewer) -> None:
    """List the keys."""
    panel_of(viewer).show_keys()
