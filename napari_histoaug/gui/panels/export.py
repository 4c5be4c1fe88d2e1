"""Panel 5: what leaves, and where to."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.exporting import PAIR, WAYS
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import Panel, explain, note, show_progress

FORMS = {"png": "PNG pairs", "zarr": "zarr", "tar": "WebDataset (tar)"}
AROUND = {"edits": "around edits", "slide": "over the slide's tissue"}
EXPORT, EXPORT_PAIR, CANCEL = "Export", "Export pair", "Cancel"


class ExportPanel(Panel):
    """Chooses what and where to, exports it, shows how far it is and cancels."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("5  Export")
        self._controller = controller
        self.way_box = QComboBox()
        for way, (title, tip) in WAYS.items():
            self.way_box.addItem(title, way)
            self.way_box.setItemData(self.way_box.count() - 1, tip, 3)  # Qt.ToolTipRole
        self.patch_options = self._patch_options()
        self.folder_edit = QLineEdit(controller.folder)
        self.folder_edit.setPlaceholderText("folder")
        self.folder_edit.setToolTip(
            "Where it goes; made when missing. No file is called after the slide."
        )
        self.browse_button = QToolButton()
        self.browse_button.setText("…")
        self.browse_button.setToolTip("Choose the folder.")
        self.export_button = QPushButton(EXPORT_PAIR)
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(6)
        self.progress_label = note()
        self._lay_out()
        self.way_box.activated.connect(
            lambda index: controller.exporting.choose(self.way_box.itemData(index))
        )
        self.folder_edit.textChanged.connect(controller.set_folder)
        self.browse_button.clicked.connect(self._browse)
        self.export_button.clicked.connect(self._clicked)
        controller.progressed.connect(self._show_progress)

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.addWidget(self.folder_edit, 1)
        line.addWidget(self.browse_button)
        self.rows.addWidget(self.way_box)
        self.rows.addWidget(self.patch_options)
        self.rows.addLayout(line)
        for widget in (self.export_button, self.progress_bar, self.progress_label):
            self.rows.addWidget(widget)

    def _patch_options(self) -> QWidget:
        settings = self._controller.exporting.settings
        self.form_box, self.around_box = QComboBox(), QComboBox()
        self.size_box, self.stride_box, self.mpp_box = QSpinBox(), QSpinBox(), QDoubleSpinBox()
        for box, choices in ((self.form_box, FORMS), (self.around_box, AROUND)):
            for value, title in choices.items():
                box.addItem(title, value)
        self.size_box.setRange(8, 4096)
        self.stride_box.setRange(1, 4096)
        for spin, pixels in ((self.size_box, settings.size), (self.stride_box, settings.stride)):
            spin.setSuffix(" px")
            spin.setValue(pixels)
        self.mpp_box.setRange(0, 20)
        self.mpp_box.setDecimals(3)
        self.mpp_box.setSingleStep(0.1)
        self.mpp_box.setSuffix(" µm")
        self.mpp_box.setSpecialValueText("as the slide")
        rows = {
            "Which": (self.around_box, "Patches with generated pixels in them, or all tissue."),
            "Size": (self.size_box, "Height and width of a patch."),
            "Stride": (self.stride_box, "Step from one patch to the next."),
            "Pixel": (self.mpp_box, "Micrometres a pixel of the patches has."),
            "As": (self.form_box, "How the patches are written; each with a manifest."),
        }
        box = QWidget()
        form = QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        for title, (widget, tip) in rows.items():
            widget.setToolTip(tip)
            form.addRow(title, widget)
        self.size_box.valueChanged.connect(lambda n: setattr(settings, "size", n))
        self.stride_box.valueChanged.connect(lambda n: setattr(settings, "stride", n))
        self.mpp_box.valueChanged.connect(lambda mpp: setattr(settings, "mpp", mpp))
        self.form_box.currentIndexChanged.connect(
            lambda index: setattr(settings, "form", self.form_box.itemData(index))
        )
        self.around_box.currentIndexChanged.connect(
            lambda index: setattr(settings, "around", self.around_box.itemData(index))
        )
        return box

    def refresh(self) -> None:
        """Show the choice, the folder, and whether there is something to export."""
        exporting = self._controller.exporting
        way, running = exporting.settings.way, exporting.running
        self.way_box.setCurrentIndex(self.way_box.findData(way))
        explain(self.way_box, "What is exported.", None)
        self.patch_options.setVisible(way == "patches")
        if self.folder_edit.text() != self._controller.folder:
            self.folder_edit.setText(self._controller.folder)
        for widget in (self.progress_bar, self.progress_label):
            widget.setVisible(running)
        if running:
            self.export_button.setText(CANCEL)
            explain(self.export_button, "Stop; nothing half-written is kept.", None)
        else:
            self.export_button.setText(EXPORT_PAIR if way == PAIR else EXPORT)
            explain(self.export_button, WAYS[way][1], exporting.why_not())

    def _clicked(self) -> None:
        if self._controller.exporting.running:
            self._controller.cancel()
        else:
            self._controller.exporting.run()

    def _show_progress(self, news: Progress | str) -> None:
        if not self._controller.exporting.running:
            return
        show_progress(self.progress_bar, self.progress_label, news)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export to", self.folder_edit.text())
        if folder:
            self.folder_edit.setText(folder)
