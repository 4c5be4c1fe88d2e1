"""Panel 5: image and mask to a folder."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QToolButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import Panel, explain


class ExportPanel(Panel):
    """Chooses a folder and exports the last accepted edit."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("5  Export")
        self._controller = controller
        self.folder_edit = QLineEdit(controller.folder)
        self.folder_edit.setPlaceholderText("folder")
        self.folder_edit.setToolTip("Where the pairs and their manifest go; made when missing.")
        self.browse_button = QToolButton()
        self.browse_button.setText("…")
        self.browse_button.setToolTip("Choose the folder.")
        self.export_button = QPushButton("Export pair")
        line = QHBoxLayout()
        line.addWidget(self.folder_edit, 1)
        line.addWidget(self.browse_button)
        self.rows.addLayout(line)
        self.rows.addWidget(self.export_button)
        self.folder_edit.textChanged.connect(controller.set_folder)
        self.browse_button.clicked.connect(self._browse)
        self.export_button.clicked.connect(lambda: controller.export_pair())

    def refresh(self) -> None:
        """Show the folder and whether there is something to export."""
        if self.folder_edit.text() != self._controller.folder:
            self.folder_edit.setText(self._controller.folder)
        explain(
            self.export_button,
            "Write the last accepted edit: image and mask (PNG) and a row in manifest.csv.",
            self._controller.why_not.export(),
        )

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export to", self.folder_edit.text())
        if folder:
            self.folder_edit.setText(folder)
