"""The tools of the panel *Paint*, and the few options of the one in the hand."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import explain, narrow
from napari_histoaug.masks.stamps import SIZES, VesselShape, vessel_shapes

TIPS = {
    "brush": "Paint with a round brush. Key P; [ and ] change its size; a right-drag fills a loop.",
    "eraser": "Take paint away; it has a size of its own. Key E.",
    "fill": "Fill the piece under the click with the class. Key F.",
    "polygon": "Click corner after corner; a double-click closes and fills it, Esc drops it.",
    "lasso": "Draw around a region with the button held; it is filled when you let go. Shift+L.",
    "wand": "Click: the connected region of like colour is painted. Shift+W.",
    "vessel": "Click: the shape of a real vessel is stamped there, turned at random. Shift+S.",
}
COLUMNS = 4
PARTS = {"vessel": "whole vessel", "wall": "wall only", "lumen": "lumen only"}
ICON = 28
WALL, LUMEN = QColor(213, 94, 0), QColor(250, 225, 215)


class ToolRow(QWidget):
    """Buttons for the tools; the one in the hand is down."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self._group = QButtonGroup(self)
        for index, tool in enumerate(TIPS):
            button = QPushButton(tool.capitalize())
            button.setCheckable(True)
            button.setMinimumWidth(10)
            button.setStyleSheet("QPushButton { padding: 4px 2px; }")
            button.clicked.connect(lambda checked=False, tool=tool: self._take(tool))
            self._group.addButton(button)
            self.buttons[tool] = button
            grid.addWidget(button, index // COLUMNS, index % COLUMNS)

    def refresh(self) -> None:
        """Show the tool in the hand."""
        controller = self._controller
        reason = controller.why_not.paint()
        held = controller.painting.toolbox.tool if controller.canvas is not None else ""
        self._group.setExclusive(bool(held))
        for tool, button in self.buttons.items():
            explain(button, TIPS[tool], reason)
            button.setChecked(tool == held)

    def _take(self, tool: str) -> None:
        self._controller.painting.choose_tool(tool)
        if self._controller.canvas is None:
            self._controller.paint_here()


class ToolOptions(QWidget):
    """The options of the tool in the hand; nothing for a tool without."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._settings = controller.painting.toolbox.settings
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.size_slider = _slider(2, 200, "How wide it is.")
        self.tolerance_slider = _slider(1, 60, "How different a colour may be (L*a*b* distance).")
        self.shape_box = QComboBox()
        self.factor_slider = _slider(0.25, 4, "How much larger than the real vessel.", 2)
        self.part_box = QComboBox()
        self._fill_vessel()
        self._pages = {
            "size": _form({"Size": self.size_slider}),
            "wand": _form({"Tolerance": self.tolerance_slider}),
            "vessel": _form(
                {"Shape": self.shape_box, "Enlarge": self.factor_slider, "Paint": self.part_box}
            ),
        }
        for page in self._pages.values():
            column.addWidget(page)
        self.tolerance_slider.setValue(self._settings.tolerance)
        self.factor_slider.setValue(self._settings.factor)
        self._connect()

    def _fill_vessel(self) -> None:
        self.shape_box.setIconSize(QSize(ICON, ICON))
        self.shape_box.setMaxVisibleItems(12)
        narrow(self.shape_box)
        self.shape_box.addItem("any vessel", None)
        for size, (low, high) in SIZES.items():
            limits = f"from {low:.0f} µm" if np.isinf(high) else f"{low:.0f} to {high:.0f} µm"
            self.shape_box.addItem(f"any {size} one, {limits}", size)
        for index, shape in enumerate(vessel_shapes()):
            self.shape_box.addItem(icon_of(shape), f"{shape.diameter:.0f} µm", index)
        self.shape_box.setToolTip("Which outline: a random one, or one you choose.")
        for part, title in PARTS.items():
            self.part_box.addItem(title, part)
        self.part_box.setToolTip("The whole vessel, or only its wall or lumen.")

    def _connect(self) -> None:
        settings = self._settings
        self.size_slider.valueChanged.connect(self._controller.painting.set_size)
        self.tolerance_slider.valueChanged.connect(lambda v: setattr(settings, "tolerance", v))
        self.factor_slider.valueChanged.connect(lambda v: setattr(settings, "factor", v))
        self.shape_box.activated.connect(
            lambda i: setattr(settings, "shape", self.shape_box.itemData(i))
        )
        self.part_box.activated.connect(
            lambda i: setattr(settings, "part", self.part_box.itemData(i))
        )

    def refresh(self) -> None:
        """Show the options of the tool in the hand."""
        painting = self._controller.painting
        tool = painting.toolbox.tool if self._controller.canvas is not None else ""
        page = "size" if tool in ("brush", "eraser") else tool
        for name, widget in self._pages.items():
            widget.setVisible(name == page)
        sizes = painting.sizes
        self.size_slider.blockSignals(True)
        self.size_slider.setValue(sizes.eraser if tool == "eraser" else sizes.brush)
        self.size_slider.blockSignals(False)
        where = "screen pixels" if sizes.on_screen else "µm on the tissue"
        self.size_slider.setToolTip(f"How wide the {tool or 'brush'} is, in {where}.")


def icon_of(shape: VesselShape) -> QIcon:
    """A small picture of a vessel's wall and lumen."""
    picture = QPixmap(ICON, ICON)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    factor = 0.46 * ICON / max(1e-6, float(np.abs(shape.vessel).max()))
    for corners, color in ((shape.vessel, WALL), (shape.lumen, LUMEN)):
        places = corners * factor + ICON / 2
        painter.setBrush(color)
        painter.drawPolygon(QPolygonF([QPointF(float(x), float(y)) for y, x in places]))
    painter.end()
    return QIcon(picture)


def _slider(low: float, high: float, purpose: str, decimals: int = 0) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setDecimals(decimals)
    slider.setToolTip(purpose)
    for label in slider.findChildren(QLineEdit):  # its number can be typed
        label.setToolTip(purpose)
    return slider


def _form(rows: dict[str, QWidget]) -> QWidget:
    page = QWidget()
    form = QFormLayout(page)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for title, widget in rows.items():
        widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        form.addRow(title, widget)
    return page
