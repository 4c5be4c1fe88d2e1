"""Panel *Compare*: truth against prediction, and the figures."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_histoaug.gui.choices import Choice
from napari_histoaug.gui.compare_desk import CompareDesk
from napari_histoaug.gui.comparing_work import said
from napari_histoaug.gui.figures import REGION, SLIDE, VIEW
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import (
    NEXT_STEP,
    Panel,
    explain,
    folded,
    narrow,
    note,
    show_progress,
)
from napari_histoaug.gui.warning_color import warn

COMPARE, CANCEL = "Compare", "Cancel"
FILE, FOLDER = "A file…", "An OME-Zarr folder…"
KINDS = "Outlines and label pictures (*.geojson *.json *.gz *.zip *.png *.tif *.tiff)"
STALE = "The slide's figures are from before the last change; compare again."
FIGURES = {"dice": "Dice", "precision": "Precision", "recall": "Recall", "iou": "IoU"}
PLACES = {VIEW: "View", REGION: "Region", SLIDE: "Slide"}
TIPS = {
    "dice": "2 TP / (2 TP + FP + FN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "iou": "TP / (TP + FP + FN)",
}
_NO_DATA = "–"


class ComparePanel(Panel):
    """Chooses truth and prediction, and compares them."""

    def __init__(self, desk: CompareDesk) -> None:
        super().__init__("Compare")
        self._desk = desk
        self._listed: dict[str, list[Choice]] = {"truth": [], "prediction": []}
        self._make_controls()
        self._lay_out()
        self._connect()

    def _make_controls(self) -> None:
        self.truth_box, self.prediction_box = narrow(QComboBox()), narrow(QComboBox())
        self.complete_box = QCheckBox("The truth is complete")
        self.classes_edit = QLineEdit()
        self.classes_edit.setPlaceholderText("as the files say")
        self.iou_box = QDoubleSpinBox()
        self.iou_box.setRange(0.05, 1.0)
        self.iou_box.setSingleStep(0.05)
        self.iou_box.setValue(self._desk.comparing.settings.least_iou)
        self.run_button = QPushButton(COMPARE)
        self.run_button.setStyleSheet(NEXT_STEP)
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(6)
        self.progress_label = note()
        self.stale = note(STALE)
        warn(self.stale)
        self.figures = FigureTable(self._desk)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Truth", self.truth_box)
        form.addRow("Prediction", self.prediction_box)
        form.addRow(self.complete_box)
        self.rows.addLayout(form)
        more = QWidget()
        options = QFormLayout(more)
        options.setContentsMargins(0, 0, 0, 0)
        options.addRow("Classes", self.classes_edit)
        options.addRow("Match from IoU", self.iou_box)
        self.rows.addWidget(folded("Options", more, "What values mean, and what counts as found."))
        for widget in (self.run_button, self.progress_bar, self.progress_label, self.stale):
            self.rows.addWidget(widget)
        self.rows.addWidget(self.figures)

    def _connect(self) -> None:
        desk, comparing = self._desk, self._desk.comparing
        self.truth_box.activated.connect(lambda index: self._choose("truth", index))
        self.prediction_box.activated.connect(lambda index: self._choose("prediction", index))
        self.complete_box.toggled.connect(lambda on: comparing.set("complete", on))
        self.classes_edit.editingFinished.connect(
            lambda: comparing.set("classes", self.classes_edit.text().strip())
        )
        self.iou_box.valueChanged.connect(lambda value: comparing.set("least_iou", value))
        self.run_button.clicked.connect(self._run_or_cancel)
        desk.progressed.connect(self._show_progress)

    def refresh(self) -> None:
        """Show what can be compared, and what came of it."""
        desk, comparing = self._desk, self._desk.comparing
        for name, box in (("truth", self.truth_box), ("prediction", self.prediction_box)):
            self._list(name, box)
        explain(self.truth_box, "What is right: annotations, labels, shapes, or a file.", None)
        explain(self.prediction_box, "What is judged: what was found, labels, or a file.", None)
        tip = "What the values 1, 2, ... mean, with commas; needed where no file says it."
        explain(self.classes_edit, tip, None)
        explain(self.iou_box, "From which overlap two objects count as the same.", None)
        tip = (
            "What the truth does not outline is background. Otherwise only its regions "
            "(outlines of class Region*) are compared."
        )
        explain(self.complete_box, tip, None)
        self.complete_box.setChecked(comparing.settings.complete)
        for widget in (self.progress_bar, self.progress_label):
            widget.setVisible(comparing.running)
        if comparing.running:
            self.run_button.setText(CANCEL)
            explain(self.run_button, "Stop; the figures stay as they are.", None)
        else:
            self.run_button.setText(COMPARE)
            purpose = "Count pixels and objects over the slide, and show the errors. Key: Shift+D."
            explain(self.run_button, purpose, comparing.why_not())
        self.stale.setVisible(comparing.stale and not desk.busy)
        self.figures.refresh()

    def _list(self, name: str, box: QComboBox) -> None:
        comparing = self._desk.comparing
        choices, chosen = comparing.choices(), getattr(comparing.settings, name)
        self._listed[name] = choices
        titles = [*(choice.title for choice in choices), FILE, FOLDER]
        if [box.itemText(i) for i in range(box.count())] != titles:
            box.clear()
            box.addItems(titles)
        at = next((i for i, choice in enumerate(choices) if choice.same(chosen)), -1)
        box.setCurrentIndex(at)

    def _choose(self, name: str, index: int) -> None:
        choices = self._listed[name]
        if index < len(choices):
            self._desk.comparing.set(name, choices[index])
            return
        if index == len(choices):
            path, _ = QFileDialog.getOpenFileName(self, f"Choose the {name}", "", KINDS)
        else:
            path = QFileDialog.getExistingDirectory(self, f"Choose the {name} (OME-Zarr)")
        if path:
            self.choose_file(name, Path(path))
        self.refresh()

    def choose_file(self, name: str, path: Path) -> None:
        """Take a file as ``truth`` or ``prediction``."""
        self._desk.comparing.set(name, self._desk.comparing.add_file(path))

    def _run_or_cancel(self) -> None:
        if self._desk.comparing.running:
            self._desk.cancel()
        else:
            self._desk.comparing.compare()

    def _show_progress(self, news: Progress | str) -> None:
        if self._desk.comparing.running:
            show_progress(self.progress_bar, self.progress_label, news)


class FigureTable(QWidget):
    """Dice, precision, recall and IoU of view, region and slide; of pixels and of objects."""

    def __init__(self, desk: CompareDesk) -> None:
        super().__init__()
        self._desk = desk
        self.class_box = narrow(QComboBox())
        self.class_box.setToolTip("Whose figures and errors are shown.")
        self.class_box.activated.connect(
            lambda index: desk.comparing.show_class(self.class_box.itemText(index))
        )
        self.cells: dict[tuple[str, str, str], QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.class_box, 0, 0, 1, 4)
        for column, title in enumerate(PLACES.values(), 1):
            grid.addWidget(_right(title), 1, column)
            grid.setColumnStretch(column, 1)
        line = 2
        for kind in ("pixels", "objects"):
            grid.addWidget(QLabel(f"<b>{kind.capitalize()}</b>"), line, 0)
            for key, title in FIGURES.items():
                line += 1
                head = QLabel(title)
                head.setToolTip(TIPS[key])
                grid.addWidget(head, line, 0)
                for place_column, place in enumerate(PLACES, 1):
                    self._cell(grid, line, place_column, (place, kind, key))
            line += 1

    def _cell(self, grid: QGridLayout, line: int, column: int, key: tuple[str, str, str]) -> None:
        self.cells[key] = label = _right(_NO_DATA)
        grid.addWidget(label, line, column)

    def refresh(self) -> None:
        """Show the figures there are."""
        comparing = self._desk.comparing
        result = comparing.result
        self.setVisible(result is not None)
        if result is None:
            return
        names = list(result.classes)
        if [self.class_box.itemText(i) for i in range(self.class_box.count())] != names:
            self.class_box.clear()
            self.class_box.addItems(names)
        self.class_box.setCurrentText(comparing.class_name)
        self.class_box.setVisible(len(names) > 1)
        shown, places = self._desk.figures.shown(), self._desk.figures.places
        for (place, kind, key), label in self.cells.items():
            comparison = shown.get(place)
            told = places.get(place)
            label.setToolTip(told if isinstance(told, str) else "")
            if comparison is None:
                label.setText(_NO_DATA)
                continue
            counts = comparison.pixels[comparing.class_name]
            if kind == "objects":
                counts = comparison.objects[comparing.class_name].counts
            label.setText(said(getattr(counts, key)))
            label.setToolTip(f"TP {counts.tp:,}, FP {counts.fp:,}, FN {counts.fn:,}")


def _right(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight)
    return label
