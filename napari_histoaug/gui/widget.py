"""The dock widget: five panels over one controller."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import napari.viewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.key_help import KeyHelp
from napari_histoaug.gui.panels.common import narrow
from napari_histoaug.gui.panels.export import ExportPanel
from napari_histoaug.gui.panels.generate import GeneratePanel
from napari_histoaug.gui.panels.paint import PaintPanel
from napari_histoaug.gui.panels.review import ReviewPanel
from napari_histoaug.gui.panels.slide import SlidePanel
from napari_histoaug.gui.preferences import preferences

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.engine import Engine
    from napari_histoaug.gui.work import LoadGenerator


class HistoaugWidget(QScrollArea):
    """*Inpaint vessel*, from slide to exported pair.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    inpaint, load_generator, classes, engine
        See :class:`~napari_histoaug.gui.controller.Controller`.

    Attributes
    ----------
    controller : Controller
    slide_panel, paint_panel, generate_panel, review_panel, export_panel : in workflow order
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        inpaint: Callable[..., Any] | None = None,
        load_generator: LoadGenerator | None = None,
        classes: ClassTable | None = None,
        engine: Engine | None = None,
    ) -> None:
        super().__init__()
        self.controller = controller = Controller(
            napari_viewer,
            inpaint=inpaint,
            load_generator=load_generator,
            engine=engine,
            classes=classes,
        )
        chosen = preferences()
        controller.settings.device, controller.settings.model = chosen.device, chosen.model
        controller.painting.limit = chosen.canvas_pixels
        self.slide_panel = SlidePanel(controller)
        self.paint_panel = PaintPanel(controller)
        self.generate_panel = GeneratePanel(controller)
        self.review_panel = ReviewPanel(controller)
        self.export_panel = ExportPanel(controller)
        self._panels = (
            self.slide_panel,
            self.paint_panel,
            self.generate_panel,
            self.review_panel,
            self.export_panel,
        )
        self._docked = False
        # weak: a panel that outlives its window must not keep it
        self._window: weakref.ref[QMainWindow] | None = None
        self._lay_out()
        controller.changed.connect(self._refresh)
        # the controller, not a method of the widget: when this is heard the widget is gone
        self.destroyed.connect(controller.close)
        self._refresh()

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 10, 6, 6)
        column.setSpacing(10)
        for panel in self._panels:
            column.addWidget(panel)
        self.keys_button = QPushButton("Keys")
        self.keys_button.setFlat(True)
        self.keys_button.setToolTip("Every key of these panels.")
        self.keys_button.clicked.connect(self._list_keys)
        column.addWidget(self.keys_button)
        column.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for choice in inside.findChildren(QComboBox):
            narrow(choice)

    def _list_keys(self) -> None:
        self.show_keys()

    def show_keys(self) -> KeyHelp:
        """List the keys in a window of their own."""
        window = KeyHelp(self)
        window.show()
        return window

    def _refresh(self) -> None:
        for panel in self._panels:
            panel.refresh()
        self._keep_wide_enough()
        self._watch_window()

    def _keep_wide_enough(self) -> None:
        """Never narrower than what is in it: there is no bar to scroll sideways."""
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            self.setMinimumWidth(inside.minimumSizeHint().width() + bar.sizeHint().width())

    def event(self, event: QEvent | None) -> bool:
        """Taken out of its dock (napari's close button does that), it stops its work."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.controller.close()
        return super().event(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stop the work when the window goes, before Qt takes the objects apart.

        When the user closes it by its button napari may still ask whether to; then only the
        hiding of the window says that it really goes.
        """
        if event is not None and not event.spontaneous():
            if event.type() == QEvent.Type.Close:
                self.controller.close()
            elif event.type() == QEvent.Type.Hide:
                self.controller.stop()
        return super().eventFilter(watched, event)

    def _watch_window(self) -> None:
        """Listen to the main window, once this widget is in one."""
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parentWidget()
        if parent is not None and (self._window is None or self._window() is not parent):
            parent.installEventFilter(self)
            self._window = weakref.ref(parent)
