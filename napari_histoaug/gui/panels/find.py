"""Panel *Find vessels*: with what, where, from which probability on, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
)
from superqt import QLabeledDoubleSlider

from napari_histoaug.gui.compare_desk import CompareDesk
from napari_histoaug.gui.finding import SCOPES
from napari_histoaug.gui.installed import BUNDLED
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import (
    NEXT_STEP,
    Panel,
    explain,
    narrow,
    note,
    row,
    show_progress,
)
from napari_histoaug.gui.segmenters import known_segmenters, missing, said
from napari_histoaug.gui.warning_color import warn

FIND, CANCEL = "Find vessels", "Cancel"
OUTLINES = "GeoJSON for QuPath (*.geojson)"
PREDICTION = "OME-Zarr prediction (*.zarr)"


class FindPanel(Panel):
    """Chooses segmenter and place, finds, and keeps the threshold under the hand."""

    def __init__(self, desk: CompareDesk) -> None:
        super().__init__("Find vessels")
        self._desk = desk
        self._make_controls()
        self._lay_out()
        self._connect()

    def _make_controls(self) -> None:
        self.model_box = narrow(QComboBox())
        self.model_box.setEditable(True)
        self.model_box.addItems(list(known_segmenters()) or [BUNDLED])
        self.folder_button = QToolButton()
        self.folder_button.setText("…")
        self.folder_button.setToolTip("Choose the folder of a segmenter.")
        self.scope_box = narrow(QComboBox())
        for number, (scope, (title, tip)) in enumerate(SCOPES.items()):
            self.scope_box.addItem(title, scope)
            self.scope_box.setItemData(number, tip, 3)  # Qt.ToolTipRole
        self.region_button = QPushButton("Draw region")
        self.facts = note()
        self.run_button = QPushButton(FIND)
        self.run_button.setStyleSheet(NEXT_STEP)
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(6)
        self.progress_label = note()
        self.class_box = narrow(QComboBox())
        self._class_label = QLabel("Class")
        self.threshold = QLabeledDoubleSlider()
        self.threshold.setRange(0.01, 0.99)
        self.threshold.setDecimals(2)
        self.threshold.setSingleStep(0.01)  # type: ignore[arg-type]
        self.filter_button = QPushButton("Filter…")
        self.save_button = QPushButton("Save…")
        self.outlines_button = QPushButton("To QuPath…")

    def _lay_out(self) -> None:
        form = QFormLayout()
        model = row(self.model_box)
        model.addWidget(self.folder_button)
        form.addRow("Segmenter", model)
        form.addRow("Where", self.scope_box)
        self.rows.addLayout(form)
        for widget in (self.region_button, self.facts, self.run_button):
            self.rows.addWidget(widget)
        self.rows.addWidget(self.progress_bar)
        self.rows.addWidget(self.progress_label)
        result = QFormLayout()
        result.addRow(self._class_label, self.class_box)
        result.addRow("Threshold", self.threshold)
        self.rows.addLayout(result)
        self.rows.addLayout(row(self.filter_button, self.save_button, self.outlines_button))

    def _connect(self) -> None:
        desk, finding = self._desk, self._desk.finding
        self.model_box.currentTextChanged.connect(self._choose_model)
        self.folder_button.clicked.connect(self._ask_model)
        self.scope_box.activated.connect(
            lambda index: finding.set("scope", self.scope_box.itemData(index))
        )
        self.region_button.clicked.connect(lambda: desk.draw_region())
        self.run_button.clicked.connect(self._run_or_cancel)
        self.class_box.activated.connect(lambda index: finding.show_class(index))
        self.threshold.valueChanged.connect(self._move_threshold)
        self.filter_button.clicked.connect(self._filter)
        self.save_button.clicked.connect(lambda: self._write(PREDICTION, ".zarr"))
        self.outlines_button.clicked.connect(lambda: self._write(OUTLINES, ".geojson"))
        desk.progressed.connect(self._show_progress)

    def refresh(self) -> None:
        """Show what can be done."""
        finding = self._desk.finding
        settings = finding.settings
        explain(self.model_box, "The network that finds: bundled, trained here, or a folder.", None)
        edit = self.model_box.lineEdit()
        if edit is not None:
            edit.setToolTip(self.model_box.toolTip())
        self.scope_box.setCurrentIndex(self.scope_box.findData(settings.scope))
        explain(self.scope_box, SCOPES[settings.scope][1], None)
        self.region_button.setVisible(settings.scope == "region")
        region = "Pull up a rectangle on the slide; the last one drawn is the region."
        explain(self.region_button, region, self._desk.why_not_slide())
        lacking = missing(settings.model)
        self.facts.setText(lacking or said(settings.model))
        warn(self.facts, bool(lacking))
        for widget in (self.progress_bar, self.progress_label):
            widget.setVisible(finding.running)
        if finding.running:
            self.run_button.setText(CANCEL)
            explain(self.run_button, "Stop; what was found so far stays. Key: Shift+F.", None)
        else:
            self.run_button.setText(FIND)
            purpose = "Find vessels there; they appear field by field. Key: Shift+F."
            explain(self.run_button, purpose, finding.why_not())
        self._refresh_result()

    def _refresh_result(self) -> None:
        finding = self._desk.finding
        found, reason = finding.found, finding.why_no_result()
        names = list(found.live.classes) if found else []
        if [self.class_box.itemText(i) for i in range(self.class_box.count())] != names:
            self.class_box.clear()
            self.class_box.addItems(names)
        for widget in (self.class_box, self._class_label):
            widget.setVisible(len(names) > 1)
        # while it looks for more, the threshold of what is there can move
        waiting = None if found else "Nothing was found yet: click Find vessels."
        explain(self.class_box, "Whose probability is shown and whose threshold it is.", waiting)
        explain(self.threshold, "From which probability a pixel counts as vessel.", waiting)
        if found is not None:
            self.class_box.setCurrentIndex(found.shown_class)
            self.threshold.blockSignals(True)
            self.threshold.setValue(found.live.thresholds[found.shown_class])
            self.threshold.blockSignals(False)
        purpose = "Drop what a filter takes for false positives: choose the folder of one."
        explain(self.filter_button, purpose, reason)
        explain(self.save_button, "Write probabilities and labels as OME-Zarr.", reason)
        explain(self.outlines_button, "Write outlines that QuPath 0.6 and newer open.", reason)

    def _run_or_cancel(self) -> None:
        if self._desk.finding.running:
            self._desk.cancel()
        else:
            self._desk.finding.run()

    def _choose_model(self, text: str) -> None:
        name = text.strip()
        self._desk.finding.set("model", None if name in ("", BUNDLED) else name)

    def _ask_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a segmenter")
        if folder:
            self.model_box.setCurrentText(folder)

    def _move_threshold(self, value: float) -> None:
        found = self._desk.finding.found
        if found is not None:
            self._desk.finding.set_threshold(found.shown_class, value)

    def _filter(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a false-positive filter")
        if folder:
            self._desk.finding.filter(Path(folder))

    def _write(self, kinds: str, ending: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Write what was found", "", kinds)
        if path:
            named = path if path.endswith(ending) else f"{path}{ending}"
            self._desk.finding.write(Path(named))

    def _show_progress(self, news: Progress | str) -> None:
        if self._desk.finding.running:
            show_progress(self.progress_bar, self.progress_label, news)
