"""Panel 4: keep it or not."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QPushButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import NEXT_STEP, Panel, explain, row


class ReviewPanel(Panel):
    """Accepts and rejects the proposal; undoes and redoes accepted edits."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("4  Review")
        self._controller = controller
        self.before_box = QCheckBox("Show the slide as it was")
        self.accept_button = QPushButton("Accept")
        self.accept_button.setStyleSheet(NEXT_STEP)
        self.another_button = QPushButton("Another")
        self.reject_button = QPushButton("Reject")
        self.undo_button = QPushButton("Undo")
        self.redo_button = QPushButton("Redo")
        self.rows.addWidget(self.before_box)
        self.rows.addLayout(row(self.accept_button, self.another_button, self.reject_button))
        self.rows.addLayout(row(self.undo_button, self.redo_button))
        self.before_box.toggled.connect(lambda on: controller.toggle_proposal(not on))
        self.accept_button.clicked.connect(lambda: controller.accept())
        self.another_button.clicked.connect(lambda: controller.another())
        self.reject_button.clicked.connect(lambda: controller.reject())
        self.undo_button.clicked.connect(lambda: controller.undo())
        self.redo_button.clicked.connect(lambda: controller.redo())

    def refresh(self) -> None:
        """Show what can be done."""
        controller = self._controller
        reason = controller.why_not.review()
        if controller.proposal is None:
            self.before_box.setChecked(False)
        explain(self.before_box, "Hide the proposal for a moment, to compare.", reason)
        explain(
            self.accept_button,
            "Keep it: it is written beside the slide with its provenance, never into it.",
            reason,
        )
        explain(self.another_button, "Try again with the next seed.", reason)
        explain(self.reject_button, "Drop the proposal; what you painted stays.", reason)
        explain(self.undo_button, "Take the last accepted edit back.", controller.why_not.undo())
        explain(self.redo_button, "Put it in place again.", controller.why_not.redo())
