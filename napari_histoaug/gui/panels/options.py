"""What panel 3 folds away: how, from what, with which model."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.installed import BUNDLED
from napari_histoaug.gui.model_cards import ModelCard, known_models, read_card
from napari_histoaug.gui.panels.common import narrow, note, row
from napari_histoaug.gui.tasks import BUNDLED_DONORS
from napari_histoaug.gui.warning_color import warn

METHODS = {
    "pixel-time": "Every pixel has its own time; the model's own steps.",
    "repaint": "RePaint: walks back and forth through the noise levels.",
    "langevin": "Langevin corrections at each level.",
    "turbo": "pixel-time with 20 steps of a better solver.",
    "draft": "The same with 10 steps, for a first look.",
    "fast": "A short Langevin run, 51 evaluations.",
    "paper": "RePaint with the published schedule, 2410 evaluations.",
}
DEVICES = ("auto", "cpu", "cuda", "mps")
NOISE, REAL, FOLDER = "Noise", "A real vessel", "Vessels in a folder…"
START = (
    "Start from noise, from one of the real vessels that come with the program\n"
    "(for blood vessels only), or from a folder of your own (histoaug donors)."
)
THUMB = 56
MOST_THUMBS = 200


class Options(QWidget):
    """Edits the rarely changed part of the settings."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._shown_donors: Path | None = None
        self._shown_model: str | None = ""
        self._make()
        self._lay_out()
        self._connect()

    def _make(self) -> None:
        self.method_box = narrow(QComboBox())
        for method, tip in METHODS.items():
            self.method_box.addItem(method)
            self.method_box.setItemData(self.method_box.count() - 1, tip, 3)  # Qt.ToolTipRole
        self.steps_box = _spin(0, 1000)
        self.steps_box.setSpecialValueText("auto")
        self.seed_box = _spin(0, 2**31 - 1)
        self.keep_box = QCheckBox("Keep")
        self.roll_button = QPushButton("Roll")
        self.variants_box = _spin(1, 8)
        self.start_box = narrow(QComboBox())
        self.start_box.addItems([NOISE, REAL, FOLDER])
        self.donor_list = QListWidget()
        self.donor_list.setViewMode(QListWidget.ViewMode.IconMode)
        self.donor_list.setIconSize(QSize(THUMB, THUMB))
        self.donor_list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.donor_list.setMovement(QListWidget.Movement.Static)
        self.donor_list.setFixedHeight(2 * THUMB + 30)
        self.strength_slider = QSlider(Qt.Orientation.Horizontal)
        self.strength_slider.setRange(5, 100)
        self._strength_label = QLabel("Made anew")
        self.device_box = narrow(QComboBox())
        self.device_box.addItems(DEVICES)
        self.model_box = narrow(QComboBox())
        self.model_box.setEditable(True)
        self.model_box.addItems(list(known_models()) or [BUNDLED])
        self.folder_button = QPushButton("Folder…")
        self.card = note()
        listed = "\n".join(f"{name}: {tip}" for name, tip in METHODS.items())
        for widget, tip in (
            (self.method_box, "How the hole is filled.\n" + listed),
            (self.steps_box, "Noise levels: more is slower, often better; auto is the usual."),
            (self.seed_box, "The same seed gives the same tissue again."),
            (self.keep_box, "Keep the seed for the next run; otherwise a new one is drawn."),
            (self.roll_button, "Draw another seed."),
            (self.variants_box, "Results to make at once and choose from under Review."),
            (self.start_box, START),
            (self.donor_list, "The vessel to start from; none chosen: the seed chooses."),
            (self.strength_slider, "Left the real vessel stays as it is, right only its layout."),
            (self.device_box, "Where the network runs; auto takes a GPU if there is one."),
            (self.model_box, "The generator: bundled, trained or added here, or a folder."),
            (self.folder_button, "Choose the folder of a generator."),
        ):
            widget.setToolTip(tip)
        edit = self.model_box.lineEdit()
        if edit is not None:
            edit.setToolTip(self.model_box.toolTip())

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        fields = (self.method_box, self.steps_box, self.seed_box, self.device_box, self.model_box)
        for widget in (*fields, self.variants_box, self.start_box):
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            widget.setMinimumWidth(60)
        form.addRow("Variants", self.variants_box)
        form.addRow("Seed", self.seed_box)
        form.addRow("", row(self.keep_box, self.roll_button))
        form.addRow("Start from", self.start_box)
        form.addRow(self.donor_list)
        form.addRow(self._strength_label, self.strength_slider)
        form.addRow("Method", self.method_box)
        form.addRow("Steps", self.steps_box)
        form.addRow("Device", self.device_box)
        form.addRow("Model", self.model_box)
        form.addRow("", self.folder_button)
        form.addRow(self.card)

    def _connect(self) -> None:
        settings = self._controller.settings
        self.method_box.currentTextChanged.connect(lambda text: self._set("method", text))
        self.steps_box.valueChanged.connect(lambda n: self._set("steps", n or None))
        self.seed_box.valueChanged.connect(lambda n: setattr(settings, "seed", n))
        self.keep_box.toggled.connect(lambda on: setattr(settings, "keep_seed", on))
        self.roll_button.clicked.connect(lambda: self._controller.making.roll())
        self.variants_box.valueChanged.connect(lambda n: self._set("variants", n))
        self.start_box.activated.connect(self._choose_start)
        self.donor_list.itemSelectionChanged.connect(self._choose_donor)
        self.strength_slider.valueChanged.connect(lambda n: self._set("strength", n / 100))
        self.device_box.currentTextChanged.connect(lambda text: self._set("device", text))
        self.model_box.currentTextChanged.connect(self._choose_model)
        self.folder_button.clicked.connect(self._ask_model)

    def refresh(self) -> None:
        """Show the settings."""
        settings = self._controller.settings
        self.method_box.setCurrentText(settings.method)
        self.steps_box.setValue(settings.steps or 0)
        self.seed_box.setValue(settings.seed)
        self.keep_box.setChecked(settings.keep_seed)
        self.variants_box.setValue(settings.variants)
        self.device_box.setCurrentText(settings.device)
        self.strength_slider.setValue(round(settings.strength * 100))
        packaged = REAL if settings.donors == BUNDLED_DONORS else FOLDER
        self.start_box.setCurrentText(NOISE if settings.donors is None else packaged)
        for widget in (self.donor_list, self.strength_slider, self._strength_label):
            widget.setVisible(settings.start is not None)
        if settings.donors != self._shown_donors:
            self._list_donors(settings.donors)
        if settings.model != self._shown_model:
            self._show_card(settings.model)

    def _set(self, name: str, value: object) -> None:
        settings = self._controller.settings
        if getattr(settings, name) != value:
            setattr(settings, name, value)
            self._controller.changed.emit()

    def _choose_model(self, text: str) -> None:
        name = text.strip()
        self._set("model", None if name in ("", BUNDLED) else name)

    def _ask_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a generator")
        if folder:
            self.model_box.setCurrentText(folder)

    def _choose_start(self, index: int) -> None:
        folder = BUNDLED_DONORS if self.start_box.currentText() == REAL else None
        if self.start_box.currentText() == FOLDER:
            asked = QFileDialog.getExistingDirectory(self, "Folder of donors (histoaug donors)")
            folder = Path(asked) if asked else self._controller.settings.donors
        self._controller.settings.donor = None
        self._set("donors", folder)
        self.refresh()

    def _choose_donor(self) -> None:
        chosen = self.donor_list.selectedItems()
        self._set("donor", chosen[0].data(Qt.ItemDataRole.UserRole) if chosen else None)

    def _list_donors(self, folder: Path | None) -> None:
        self._shown_donors = folder
        self.donor_list.blockSignals(True)
        self.donor_list.clear()
        paths = sorted(folder.glob("*.png"))[:MOST_THUMBS] if folder is not None else []
        for path in paths:
            item = QListWidgetItem(QIcon(str(path)), "")
            item.setData(Qt.ItemDataRole.UserRole, path.stem)
            self.donor_list.addItem(item)
        self.donor_list.blockSignals(False)

    def _show_card(self, model: str | None) -> None:
        self._shown_model = model
        if self.model_box.currentText().strip() != (model or BUNDLED):
            self.model_box.setCurrentText(model or BUNDLED)
        card = read_card(model)
        self.card.setText(card.text if isinstance(card, ModelCard) else card)
        warn(self.card, not isinstance(card, ModelCard))


def _spin(low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    return box
