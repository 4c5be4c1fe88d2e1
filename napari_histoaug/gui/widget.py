"""The dock widget: five panels over one controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import napari.viewer
from qtpy.QtWidgets import QPushButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.docked import DockedPanels
from napari_histoaug.gui.key_help import KeyHelp
from napari_histoaug.gui.panels.export import ExportPanel
from napari_histoaug.gui.panels.generate import GeneratePanel
from napari_histoaug.gui.panels.paint import PaintPanel
from napari_histoaug.gui.panels.review import ReviewPanel
from napari_histoaug.gui.panels.slide import SlidePanel
from napari_histoaug.gui.preferences import preferences
from napari_histoaug.gui.warning_color import WarningStyle

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.gui.engine import Engine
    from napari_histoaug.gui.work import LoadGenerator


class HistoaugWidget(DockedPanels):
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
        controller = Controller(
            napari_viewer,
            inpaint=inpaint,
            load_generator=load_generator,
            engine=engine,
            classes=classes,
        )
        super().__init__(controller)
        self.controller = controller
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
        self._lay_out()
        self._warning_style = WarningStyle(self, controller.viewer)
        controller.changed.connect(self._refresh)
        self._refresh()

    def _lay_out(self) -> None:
        self.keys_button = QPushButton("Keys")
        self.keys_button.setFlat(True)
        self.keys_button.setToolTip("Every key of these panels.")
        self.keys_button.clicked.connect(self._list_keys)
        self.lay_out([*self._panels, self.keys_button])

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
        self.settle()
