"""Panel 2: what to put where."""

from __future__ import annotations

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import Panel, explain, note, row


class PaintPanel(Panel):
    """Chooses the class and starts a canvas or an outline."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("2  Paint")
        self._controller = controller
        self.class_box = QComboBox()
        self.class_box.setToolTip("What the painted area shall become.")
        self.paint_button = QPushButton("Paint here")
        self.outline_button = QPushButton("Draw outline")
        self.undo_button = QPushButton("Undo stroke")
        self.redo_button = QPushButton("Redo stroke")
        self.hint = note()
        self.rows.addWidget(self.class_box)
        self.rows.addLayout(row(self.paint_button, self.outline_button))
        self.rows.addLayout(row(self.undo_button, self.redo_button))
        self.rows.addWidget(self.hint)
        self.class_box.activated.connect(self._choose)
        self.paint_button.clicked.connect(lambda: controller.paint_here())
        self.outline_button.clicked.connect(lambda: controller.draw_outlines())
        self.undo_button.clicked.connect(lambda: controller.painting.undo())
        self.redo_button.clicked.connect(lambda: controller.painting.redo())

    def refresh(self) -> None:
        """Show the classes and whether one can paint."""
        controller = self._controller
        if self._shown() != controller.classes.names:
            self._fill()
        self.class_box.setCurrentIndex(controller.label_value - 1)
        reason = controller.why_not.paint()
        explain(
            self.paint_button,
            "Put a canvas over the current view and take the brush.\n"
            "Strokes: [ and ] change the brush, E erases, Ctrl+Z takes a stroke back.",
            reason,
        )
        explain(
            self.outline_button,
            "Draw the border of a vessel as a polygon; double-click closes it.",
            reason,
        )
        reasons = controller.why_not
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
        self.hint.setText(self._where())
        self.hint.setVisible(bool(self.hint.text()))

    def _where(self) -> str:
        canvas = self._controller.canvas
        if canvas is None:
            return ""
        height, width = canvas.layer.data.shape
        at = "full resolution" if canvas.window.level == 0 else f"1 : {canvas.window.step}"
        return f"{height} × {width} px, {at}"

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
