"""The colour of warnings, to be read on the light and on the dark theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QLabel, QWidget

ON_DARK, ON_LIGHT = "#e8912f", "#a34a00"
"""Contrast of 6 and of 5 to napari's backgrounds."""


def warning_color(viewer: ViewerModel) -> str:
    """An orange that stands out from the theme's background."""
    red, green, blue = get_theme(viewer.theme).background.as_rgb_tuple(alpha=False)
    return ON_LIGHT if red + green + blue > 3 * 128 else ON_DARK


def warn(label: QLabel, is_warning: bool = True) -> None:
    """Write a label in the colour of warnings, or as any other."""
    if bool(label.property("warning")) != is_warning:
        label.setProperty("warning", is_warning)
        style = label.style()
        if style is not None:  # Qt looks at properties only then
            style.unpolish(label)
            style.polish(label)


class WarningStyle:
    """Gives the labels in a widget their colour of warnings, also when the theme changes."""

    def __init__(self, widget: QWidget, viewer: ViewerModel) -> None:
        self._widget = widget
        self._viewer = viewer
        viewer.events.theme.connect(self._apply)
        # this object, not the widget: when that is heard the widget is gone
        widget.destroyed.connect(self.close)
        self._apply()

    def close(self, gone: Any = None) -> None:
        """Watch the theme no more."""
        self._viewer.events.theme.disconnect(self._apply)

    def _apply(self, event: Any = None) -> None:
        color = warning_color(self._viewer)
        self._widget.setStyleSheet(f'QLabel[warning="true"] {{ color: {color}; }}')
