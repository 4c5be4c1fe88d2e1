"""Panel *Errors*: how they are shown, one after the other, what is right, and what leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHeaderView,
    QPushButton,
    QSlider,
    QSpinBox,
    QTableView,
)

from napari_histoaug.gui.compare_desk import CompareDesk
from napari_histoaug.gui.panels.common import Panel, explain, narrow, note, row

PALETTES = ("thesis", "colour-blind safe")
HEADS = ("Error", "Area")
KINDS = {2: "invented", 3: "missed"}
_SWATCH = 10
_HEIGHT = 190


class ErrorTable(QAbstractTableModel):
    """The wrong objects of a class, the largest first; any number of them."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: Sequence[Any] = ()
        self._grid: Any = None
        self._swatches: dict[int, QPixmap] = {}

    def show(self, errors: Sequence[Any], grid: Any, palette: str) -> None:
        """List other errors, or the same ones in other colours."""
        from napari_histoaug.segmentation.error_map import COLOURS

        self.beginResetModel()
        self._errors, self._grid = errors, grid
        self._swatches = {int(kind): _swatch(c) for kind, c in COLOURS[palette].items()}
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many errors there are."""
        return len(self._errors)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """What is told of each."""
        return len(HEADS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Titles of the columns, numbers of the rows."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return HEADS[section] if orientation == Qt.Orientation.Horizontal else str(section + 1)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a cell shows."""
        error = self._errors[index.row()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._swatches[int(error.kind)]
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() > 0:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"A {error.name} at {self._place(error)} (row, column); click to fly there."
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return (KINDS[int(error.kind)], self._area(error))[index.column()]

    def _area(self, error: Any) -> str:
        mpp = self._grid.mpp
        area = error.found.area
        return f"{area:,} px" if mpp is None else f"{area * mpp[0] * mpp[1]:,.0f} µm²"

    def _place(self, error: Any) -> str:
        y, x, height, width = self._grid.level_0_box(*error.found.box)
        return f"{y + height // 2}, {x + width // 2}"


class ErrorPanel(Panel):
    """Shows the errors and goes from one to the next."""

    def __init__(self, desk: CompareDesk) -> None:
        super().__init__("Errors")
        self._desk = desk
        self._shown: tuple[Any, ...] = ()
        self._make_controls()
        self._lay_out()
        self._connect()

    def _make_controls(self) -> None:
        self.palette_box = narrow(QComboBox())
        self.palette_box.addItems(PALETTES)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.contour_box = QSpinBox()
        self.contour_box.setRange(0, 20)
        self.contour_box.setSuffix(" px")
        self.contour_box.setSpecialValueText("filled")
        self.model = ErrorTable()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setFixedHeight(_HEIGHT)
        self.table.setShowGrid(False)
        self.table.setToolTip("The largest first; click to fly there.")
        head, side = self.table.horizontalHeader(), self.table.verticalHeader()
        if head is not None and side is not None:
            head.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            side.setDefaultSectionSize(22)
            side.hide()
        self.count = note()
        self.previous_button, self.next_button = QPushButton("Previous"), QPushButton("Next")
        self.settle_button = QPushButton("Accept as truth")
        self.correct_button, self.undo_button = QPushButton("Correct…"), QPushButton("Undo")
        self.keep_button, self.discard_button = QPushButton("Keep"), QPushButton("Discard")
        self.table_button = QPushButton("Table…")
        self.picture_button = QPushButton("Picture…")
        self.report_button = QPushButton("Report…")

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Colours", self.palette_box)
        form.addRow("Opacity", self.opacity)
        form.addRow("Contour", self.contour_box)
        self.rows.addLayout(form)
        self.rows.addWidget(self.count)
        self.rows.addWidget(self.table)
        self.rows.addLayout(row(self.previous_button, self.next_button))
        self.rows.addWidget(self.settle_button)
        self.rows.addLayout(row(self.correct_button, self.undo_button))
        self.rows.addLayout(row(self.keep_button, self.discard_button))
        self.rows.addLayout(row(self.table_button, self.picture_button, self.report_button))

    def _connect(self) -> None:
        comparing, correcting = self._desk.comparing, self._desk.correcting
        self.palette_box.textActivated.connect(lambda text: comparing.look("palette", text))
        self.opacity.valueChanged.connect(lambda n: comparing.look("opacity", n / 100))
        self.contour_box.valueChanged.connect(lambda n: comparing.look("contour", n))
        self.table.clicked.connect(lambda index: comparing.fly_to(index.row()))
        self.previous_button.clicked.connect(lambda: comparing.step(-1))
        self.next_button.clicked.connect(lambda: comparing.step(1))
        self.settle_button.clicked.connect(lambda: correcting.settle())
        self.correct_button.clicked.connect(lambda: correcting.correct())
        self.undo_button.clicked.connect(lambda: correcting.undo())
        self.keep_button.clicked.connect(lambda: correcting.keep())
        self.discard_button.clicked.connect(lambda: correcting.discard())
        self.table_button.clicked.connect(lambda: self._write("table", "CSV (*.csv)", ".csv"))
        self.picture_button.clicked.connect(lambda: self._write("picture", "PNG (*.png)", ".png"))
        self.report_button.clicked.connect(self._report)
        comparing.moved.connect(self._show_current)

    def refresh(self) -> None:
        """Show the errors and what can be done with them."""
        comparing = self._desk.comparing
        overlay, result = comparing.overlay, comparing.result
        self.palette_box.setCurrentText(overlay.palette)
        explain(self.palette_box, "Found, invented, missed; two sets of colours.", None)
        self.opacity.blockSignals(True)
        self.opacity.setValue(round(overlay.opacity * 100))
        self.opacity.blockSignals(False)
        filled = "Contours are solid: choose filled." if overlay.contour else None
        explain(self.opacity, "How much the filled areas cover.", filled)
        explain(self.contour_box, "Only borders, so many pixels wide.", None)
        shown = (result, comparing.class_name, overlay.palette)
        if shown != self._shown:
            self._shown = shown
            grid = result.pair.grid if result is not None else None
            self.model.show(comparing.errors, grid, overlay.palette)
        self.count.setText(self._counted())
        self._show_current()

    def _refresh_buttons(self) -> None:
        comparing, correcting = self._desk.comparing, self._desk.correcting
        none = comparing.why_not_errors()
        explain(self.previous_button, "Fly to the error before. Key: Shift+H.", none)
        explain(self.next_button, "Fly to the next error. Key: Shift+J.", none)
        error = comparing.current_error
        missed = error is not None and int(error.kind) == 3
        self.settle_button.setText("Take out of the truth" if missed else "Accept as truth")
        purpose = "The prediction is right here: the outline " + (
            "is taken out of the truth. Key: Shift+T." if missed else "becomes truth. Key: Shift+T."
        )
        reason = correcting.why_not()
        explain(self.settle_button, purpose, reason)
        by_hand = correcting.why_not_by_hand()
        explain(self.correct_button, "Edit the truth's outlines there as shapes.", by_hand)
        explain(self.undo_button, "Take the last correction back.", correcting.why_not_undo())
        idle = None if correcting.is_editing else "Nothing is being corrected."
        for button in (self.keep_button, self.discard_button):
            button.setVisible(correcting.is_editing)
        explain(self.keep_button, "Put the corrected outlines into the truth.", idle)
        explain(self.discard_button, "Leave the truth as it was.", idle)
        export = comparing.why_not_export()
        explain(self.table_button, "Write all errors as CSV.", export)
        explain(self.picture_button, "Write the view as PNG with legend and scale bar.", export)
        explain(self.report_button, "Write figures, errors and the view to a folder.", export)

    def _counted(self) -> str:
        comparing = self._desk.comparing
        if comparing.result is None:
            return "Nothing was compared yet."
        objects = comparing.result.comparison.objects[comparing.class_name].counts
        return f"{objects.fp:,} invented, {objects.fn:,} missed, {objects.tp:,} found"

    def _show_current(self) -> None:
        at = self._desk.comparing.current
        if at is None:
            self.table.clearSelection()
        elif at < self.model.rowCount():
            self.table.selectRow(at)
        self._refresh_buttons()

    def _write(self, kind: str, kinds: str, ending: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, f"Write the {kind}", "", kinds)
        if path:
            named = path if path.endswith(ending) else f"{path}{ending}"
            self._desk.comparing.export(kind, Path(named))

    def _report(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the report")
        if folder:
            self._desk.comparing.export("report", Path(folder))


def _swatch(color: tuple[int, int, int]) -> QPixmap:
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor(*color))
    return pixmap
