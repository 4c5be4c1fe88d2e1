"""Panel 3: what to make, the button, how far it is, and how it does it."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QProgressBar, QPushButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import (
    NEXT_STEP,
    Panel,
    apart,
    explain,
    folded,
    narrow,
    note,
    show_progress,
)
from napari_histoaug.gui.panels.options import Options
from napari_histoaug.gui.tasks import PACES, TASKS, task_of, verb
from napari_histoaug.gui.warning_color import warn

CANCEL = "Cancel"
OWN_PACE = "As under Advanced"


class GeneratePanel(Panel):
    """Runs and cancels; advanced options are folded away."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("3  Generate")
        self._controller = controller
        self._was_busy = False
        self.task_box, self.pace_box = narrow(QComboBox()), narrow(QComboBox())
        for number, task in enumerate(TASKS):
            self.task_box.addItem(task.title, task.purpose)
            self.task_box.setItemData(number, task.tip, 3)  # Qt.ToolTipRole
        for number, pace in enumerate(PACES):
            self.pace_box.addItem(pace.title, pace.method)
            self.pace_box.setItemData(number, pace.tip, 3)
        self.pace_box.addItem(OWN_PACE)
        self.run_button = QPushButton()
        self.estimate = note()
        self.batch_button = QPushButton("Fill all annotated")
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(False)
        self.progress_bar.setFixedHeight(6)
        self.progress_label = note()
        for widget in (self.progress_bar, self.progress_label):
            apart(widget)
        self.options = Options(controller)
        tip = "Variants, seed, real vessels, method, device and model."
        self.advanced = folded("Advanced", self.options, tip)
        for widget in (
            self.task_box,
            self.pace_box,
            self.run_button,
            self.estimate,
            self.progress_bar,
            self.progress_label,
            self.batch_button,
            self.advanced,
        ):
            self.rows.addWidget(widget)
        self.task_box.activated.connect(self._choose_task)
        self.pace_box.activated.connect(self._choose_pace)
        self.run_button.clicked.connect(self._clicked)
        self.batch_button.clicked.connect(lambda: controller.making.fill_annotated())
        controller.progressed.connect(self._show_progress)

    def refresh(self) -> None:
        """Show whether it runs, and the settings."""
        controller, settings = self._controller, self._controller.settings
        task = task_of(settings.purpose)
        self.task_box.setCurrentIndex(TASKS.index(task))
        self.task_box.setToolTip(task.tip)
        self._refresh_pace()
        running = controller.generating
        self.run_button.setText(CANCEL if running else verb(settings))
        if running:
            explain(self.run_button, "Stop at the next step; nothing half-made is kept.", None)
            self.run_button.setStyleSheet("")
        else:
            purpose = f"{task.tip} The slide itself is never changed."
            explain(self.run_button, purpose, controller.why_not.run())
            self.run_button.setStyleSheet("" if controller.proposal else NEXT_STEP)
        explain(
            self.batch_button,
            "Fill every annotated outline of the chosen class, and accept each result.",
            controller.why_not.batch(),
        )
        self.batch_button.setVisible(controller.making.has_annotations)
        self._refresh_progress()
        self.options.refresh()

    def _refresh_pace(self) -> None:
        controller, settings = self._controller, self._controller.settings
        plain = [pace.method for pace in PACES]
        own = settings.method not in plain or settings.steps is not None
        index = len(PACES) if own else plain.index(settings.method)
        self.pace_box.setCurrentIndex(index)
        tip = "How carefully." if own else PACES[index].tip
        self.pace_box.setToolTip(f"{tip}\nMore evaluations take longer and often look better.")
        missing = controller.making.engine.missing
        device = controller.device_said()
        said = [controller.making.timing.said(settings), f"on {device}" if device else ""]
        self.estimate.setText(missing or ", ".join(part for part in said if part))
        self.estimate.setVisible(bool(self.estimate.text()))
        warn(self.estimate, bool(missing))
        self.estimate.setToolTip(
            "Measured on this machine with an ordinary vessel, once a session; and the device."
        )

    def _refresh_progress(self) -> None:
        controller, busy = self._controller, self._ours()
        self.progress_bar.setVisible(busy)
        self.progress_label.setVisible(busy or bool(controller.sentence))
        warn(self.progress_label, not busy and controller.is_warning)
        if busy and not self._was_busy:
            self._show_progress("Starting…")
        elif not busy:
            self.progress_label.setText(controller.sentence)
        self._was_busy = busy

    def _ours(self) -> bool:
        """Whether the running job is followed here, not in the panel *Slide* or *Export*."""
        elsewhere = self._controller.overview.building or self._controller.exporting.running
        return self._controller.busy and not elsewhere

    def _choose_task(self, index: int) -> None:
        self._controller.settings.purpose = TASKS[index].purpose
        self._controller.changed.emit()

    def _choose_pace(self, index: int) -> None:
        if index < len(PACES):
            settings = self._controller.settings
            settings.method, settings.steps = PACES[index].method, None
        else:
            self.advanced.expand(animate=False)
        self._controller.changed.emit()

    def _clicked(self) -> None:
        if self._controller.generating:
            self._controller.cancel()
        else:
            self._controller.making.run()

    def _show_progress(self, news: Progress | str) -> None:
        if not self._ours():
            return
        show_progress(self.progress_bar, self.progress_label, news)
