"""The keys, in a window that may stay open beside the work."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QWidget

from napari_histoaug.gui import compare_actions
from napari_histoaug.gui.actions import NAPARI_KEYS, keys


class KeyHelp(QDialog):
    """Lists the keys of the plugin, then those of napari that are needed most."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._grid = QGridLayout(self)
        self._grid.setColumnStretch(1, 1)
        self._grid.setHorizontalSpacing(18)
        self._list("Inpaint vessel", keys())
        self._list("Find and compare", compare_actions.keys())
        self._list("napari, while painting", NAPARI_KEYS)

    def _list(self, title: str, entries: dict[str, str]) -> None:
        head = QLabel(f"<b>{title}</b>")
        self._grid.addWidget(head, self._grid.rowCount(), 0, 1, 2)
        for key, does in entries.items():
            line = self._grid.rowCount()
            self._grid.addWidget(QLabel(key), line, 0)
            self._grid.addWidget(QLabel(does), line, 1)
