"""Panel 2: what to put where."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QPushButton, QVBoxLayout, QWidget

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import Panel, explain, folded, note, row
from napari_histoaug.gui.panels.paint_tools import ToolOptions, ToolRow


class PaintPanel(Panel):
    """Chooses the class and the tool, starts the canvas or an outline, takes strokes back."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("2  Paint")
        self._controller = controller
        self.class_box = QComboBox()
        self.class_box.setToolTip("What the painted area shall become.")
        self.paint_button = QPushButton("Paint here")
        self.outline_button = QPushButton("Draw outline")
        self.tools = ToolRow(controller)
        self.options = ToolOptions(controller)
        self.undo_button = QPushButton("Undo stroke")
        self.redo_button = QPushButton("Redo stroke")
        self.hint = note()
        self.advanced = folded("Advanced", self._habits(), "How canvas, brush and strokes behave.")
        self.rows.addWidget(self.class_box)
        self.rows.addLayout(row(self.paint_button, self.outline_button))
        self.rows.addWidget(self.tools)
        self.rows.addWidget(self.options)
        self.rows.addLayout(row(self.undo_button, self.redo_button))
        self.rows.addWidget(self.hint)
        self.rows.addWidget(self.advanced)
        self.class_box.activated.connect(self._choose)
        self.paint_button.clicked.connect(lambda: controller.paint_here())
        self.outline_button.clicked.connect(lambda: controller.draw_outlines())
        self.undo_button.clicked.connect(lambda: controller.painting.undo())
        self.redo_button.clicked.connect(lambda: controller.painting.redo())

    def _habits(self) -> QWidget:
        painting = self._controller.painting
        settings = painting.toolbox.settings
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        self.follow_box = _check(
            "Canvas follows the view",
            "After panning or zooming, strokes are kept and the canvas comes along.",
            painting.follows,
            lambda on: setattr(painting, "follows", on),
        )
        self.screen_box = _check(
            "Brush keeps its screen size",
            "Zoom in for a finer brush. Otherwise it keeps its size on the tissue.",
            painting.sizes.on_screen,
            painting.set_brush_on_screen,
        )
        self.tissue_box = _check(
            "Keep to the tissue",
            "What is painted on the glass is left out, and vessels move onto the tissue.",
            settings.keep_to_tissue,
            lambda on: setattr(settings, "keep_to_tissue", on),
        )
        for check in (self.follow_box, self.screen_box, self.tissue_box):
            column.addWidget(check)
        return box

    def refresh(self) -> None:
        """Show the classes, the tools and whether one can paint."""
        controller = self._controller
        if self._shown() != controller.classes.names:
            self._fill()
        self.class_box.setCurrentIndex(controller.label_value - 1)
        reasons = controller.why_not
        explain(
            self.paint_button,
            "Put the canvas over the current view and take the brush.\n"
            "The canvas then follows the view; what is painted is kept beside the slide.",
            reasons.paint(),
        )
        explain(
            self.outline_button,
            "Draw the border of a vessel as a polygon; double-click closes it.",
            reasons.paint(),
        )
        explain(
            self.undo_button,
            "Take the last stroke back, wherever it was painted (Ctrl+Z).",
            reasons.undo_stroke(),
        )
        explain(
            self.redo_button,
            "Put the stroke that was taken back in place again (Ctrl+Shift+Z).",
            reasons.redo_stroke(),
        )
        self.tools.refresh()
        self.options.refresh()
        self.hint.setText(self._where())
        self.hint.setVisible(bool(self.hint.text()))

    def _where(self) -> str:
        canvas = self._controller.canvas
        if canvas is None:
            return ""
        height, width = canvas.layer.data.shape
        at = "full resolution" if canvas.window.level == 0 else f"1 : {canvas.window.step}"
        return f"Canvas: {height} × {width} px, {at}"

    def _shown(self) -> tuple[str, ...]:
        return tuple(self.class_box.itemData(i) for i in range(self.class_box.count()))

    def _fill(self) -> None:
        self.class_box.clear()
        for entry in self._controller.classes:
            swatch = QPixmap(12, 12)
            swatch.fill(QColor(*entry.color))
            self.class_box.addItem(QIcon(swatch), entry.name.replace("_", " "), entry.name)

    def _choose(self, index: int) -> None:
        self._controller.set_label(str(self.class_box.itemData(index)))


def _check(title: str, purpose: str, checked: bool, chosen: Callable[[bool], None]) -> QCheckBox:
    check = QCheckBox(title)
    check.setToolTip(purpose)
    check.setChecked(checked)
    check.toggled.connect(chosen)
    return check
