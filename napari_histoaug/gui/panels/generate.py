"""Panel 3: the button, how far it is, and how it does it."""

from __future__ import annotations

from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)
from superqt import QCollapsible

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import NEXT_STEP, WARNING, Panel, explain, note

RUN, CANCEL = "Inpaint vessel", "Cancel"
METHODS = {
    "pixel-time": "Fast: every pixel has its own time. About 20 steps.",
    "repaint": "RePaint as published: slow, 2410 steps.",
    "langevin": "Langevin corrections at each level: slow.",
    "turbo": "Preset: pixel-time with 20 steps of a better solver.",
    "draft": "Preset: the same with 10 steps, for a first look.",
    "fast": "Preset: a short Langevin run, 51 steps.",
}
DEVICES = ("auto", "cpu", "cuda", "mps")


class GeneratePanel(Panel):
    """Runs and cancels; advanced options are folded away."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("3  Generate")
        self._controller = controller
        self._was_busy = False
        self.run_button = QPushButton(RUN)
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(6)
        self.progress_label = note()
        self.advanced = self._folded(self._options())
        for widget in (self.run_button, self.progress_bar, self.progress_label, self.advanced):
            self.rows.addWidget(widget)
        self.run_button.clicked.connect(self._clicked)
        controller.progressed.connect(self._show_progress)

    @staticmethod
    def _folded(content: QWidget) -> QCollapsible:
        # its own icons are drawn black, also on a dark theme
        fold = QCollapsible("▸ Advanced", collapsedIcon=QIcon(), expandedIcon=QIcon())
        fold.addWidget(content)
        fold.setContentsMargins(0, 0, 0, 0)
        fold.toggleButton().setStyleSheet("background: transparent; text-align: left;")
        fold.toggleButton().setToolTip("Method, steps, seed, device and model.")
        fold.toggled.connect(lambda on: fold.setText("▾ Advanced" if on else "▸ Advanced"))
        layout = fold.layout()
        if layout is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        return fold

    def _options(self) -> QWidget:
        settings = self._controller.settings
        self.method_box = QComboBox()
        for method, tip in METHODS.items():
            self.method_box.addItem(method)
            self.method_box.setItemData(self.method_box.count() - 1, tip, 3)  # Qt.ToolTipRole
        self.steps_box = QSpinBox()
        self.steps_box.setRange(0, 1000)
        self.steps_box.setSpecialValueText("auto")
        self.seed_box = QSpinBox()
        self.seed_box.setRange(0, 2**31 - 1)
        self.device_box = QComboBox()
        self.device_box.addItems(DEVICES)
        self.model_edit = QLineEdit(settings.model or "")
        self.model_edit.setPlaceholderText("bundled")
        tips = {
            "Method": (self.method_box, "How the hole is filled.\n" + _listed(METHODS)),
            "Steps": (
                self.steps_box,
                "Network evaluations: more is slower, often better; auto is the model's choice.",
            ),
            "Seed": (self.seed_box, "The same seed gives the same vessel again."),
            "Device": (
                self.device_box,
                "Where the network runs; auto takes a GPU if there is one.",
            ),
            "Model": (self.model_edit, "A generator folder or name; empty is the bundled model."),
        }
        box = QWidget()
        form = QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for title, (widget, tip) in tips.items():
            widget.setToolTip(tip)
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            form.addRow(title, widget)
        self._connect_options()
        return box

    def _connect_options(self) -> None:
        settings = self._controller.settings
        self.method_box.currentTextChanged.connect(lambda text: setattr(settings, "method", text))
        self.steps_box.valueChanged.connect(lambda n: setattr(settings, "steps", n or None))
        self.seed_box.valueChanged.connect(lambda n: setattr(settings, "seed", n))
        self.device_box.currentTextChanged.connect(lambda text: setattr(settings, "device", text))
        self.model_edit.textChanged.connect(
            lambda text: setattr(settings, "model", text.strip() or None)
        )

    def refresh(self) -> None:
        """Show whether it runs, and the settings."""
        controller, settings = self._controller, self._controller.settings
        running = controller.generating
        self.run_button.setText(CANCEL if running else RUN)
        if running:
            explain(self.run_button, "Stop at the next step; nothing is kept.", None)
            self.run_button.setStyleSheet("")
        else:
            explain(
                self.run_button,
                "Fill what is painted with generated tissue. The slide itself is never changed.",
                controller.why_not.run(),
            )
            self.run_button.setStyleSheet("" if controller.proposal else NEXT_STEP)
        busy = self._ours()
        self.progress_bar.setVisible(busy)
        self.progress_label.setVisible(busy or bool(controller.sentence))
        self.progress_label.setStyleSheet("" if busy else WARNING)
        if busy and not self._was_busy:
            self._show_progress("Starting…")
        elif not busy:
            self.progress_label.setText(controller.sentence)
        self._was_busy = busy
        self.method_box.setCurrentText(settings.method)
        self.steps_box.setValue(settings.steps or 0)
        self.seed_box.setValue(settings.seed)
        self.device_box.setCurrentText(settings.device)

    def _ours(self) -> bool:
        """Whether the running job is followed here; an overview is in the panel *Slide*."""
        return self._controller.busy and not self._controller.overview.building

    def _clicked(self) -> None:
        if self._controller.generating:
            self._controller.cancel()
        else:
            self._controller.run()

    def _show_progress(self, news: Progress | str) -> None:
        if not self._ours():
            return
        if isinstance(news, Progress):
            self.progress_bar.setRange(0, news.total)
            self.progress_bar.setValue(news.done)
            self.progress_label.setText(news.text)
        else:
            # not the busy bar: its animation repaints the window without end (see jobs.INTERVAL)
            self.progress_bar.setRange(0, 1)
            self.progress_bar.setValue(0)
            self.progress_label.setText(news)


def _listed(tips: dict[str, str]) -> str:
    return "\n".join(f"{name}: {tip}" for name, tip in tips.items())
