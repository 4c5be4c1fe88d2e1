"""A column of panels in a dock: as wide as it must be, and it stops its work when it goes."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Protocol

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from napari_histoaug.gui.panels.common import narrow


class Stoppable(Protocol):
    """What works behind the panels."""

    def stop(self) -> None:
        """Stop the running job and wait for its thread."""
        ...

    def close(self) -> None:
        """Stop, and let go of the viewer; safe to call twice."""
        ...


class DockedPanels(QScrollArea):
    """Panels one below the other.

    Parameters
    ----------
    behind : Stoppable
        Is stopped and closed when the dock or the window goes.
    """

    def __init__(self, behind: Stoppable) -> None:
        super().__init__()
        self._behind = behind
        self._docked = False
        # weak: a panel that outlives its window must not keep it
        self._window: weakref.ref[QMainWindow] | None = None
        # the desk, not a method of the widget: when this is heard the widget is gone
        self.destroyed.connect(behind.close)

    def lay_out(self, widgets: Sequence[QWidget]) -> None:
        """Put the panels into the column."""
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 10, 6, 6)
        column.setSpacing(10)
        for widget in widgets:
            column.addWidget(widget)
        column.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for choice in inside.findChildren(QComboBox):
            narrow(choice)

    def settle(self) -> None:
        """After a change of the panels: never narrower than what is in them."""
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            self.setMinimumWidth(inside.minimumSizeHint().width() + bar.sizeHint().width())
        self._watch_window()

    def event(self, event: QEvent | None) -> bool:
        """Taken out of its dock (napari's close button does that), it stops its work."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._behind.close()
        return super().event(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stop the work when the window goes, before Qt takes the objects apart.

        When the user closes it by its button napari may still ask whether to; then only the
        hiding of the window says that it really goes.
        """
        if event is not None and not event.spontaneous():
            if event.type() == QEvent.Type.Close:
                self._behind.close()
            elif event.type() == QEvent.Type.Hide:
                self._behind.stop()
        return super().eventFilter(watched, event)

    def _watch_window(self) -> None:
        """Listen to the main window, once this widget is in one."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parentWidget()
        if parent is not None and (self._window is None or self._window() is not parent):
            parent.installEventFilter(self)
            self._window = weakref.ref(parent)
