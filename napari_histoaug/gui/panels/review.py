"""Panel 4: look closely, keep it or not, and go back to what was kept."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QListWidget, QPushButton, QSlider

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.judging import NO_REALISM, Scores
from napari_histoaug.gui.panels.common import NEXT_STEP, Panel, explain, narrow, note, row
from napari_histoaug.gui.panels.journal import JournalList, icon_of
from napari_histoaug.gui.pictures import LOOKS, thumbnail
from napari_histoaug.gui.proposal import Proposal
from napari_histoaug.gui.synthetic_mark import WARNING as SYNTHETIC
from napari_histoaug.gui.warning_color import warn

THUMB = 48
OPINION = (
    "What another small network takes the new tissue for, in the result and in the slide as it "
    "was.\nAn opinion, not a grade: look yourself."
)


class ReviewPanel(Panel):
    """Compares, accepts and rejects the proposal; undoes, redoes and lists accepted edits."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("4  Review")
        self._controller = controller
        self._proposal: Proposal | None = None
        self.mark = note(SYNTHETIC)
        warn(self.mark)
        self.mark.setToolTip("Somewhere in view are pixels that no scanner has seen.")
        self.strip = QListWidget()
        self.strip.setViewMode(QListWidget.ViewMode.IconMode)
        self.strip.setFlow(QListWidget.Flow.LeftToRight)
        self.strip.setWrapping(False)
        self.strip.setIconSize(QSize(THUMB, THUMB))
        self.strip.setFixedHeight(THUMB + 26)
        self.strip.setMinimumWidth(THUMB)
        self.strip.setToolTip("The variants; click the one to look at and to accept.")
        self.blend = QSlider(Qt.Orientation.Horizontal)
        self.blend.setRange(0, 100)
        self.look_box = narrow(QComboBox())
        for number, (look, (title, tip)) in enumerate(LOOKS.items()):
            self.look_box.addItem(title, look)
            self.look_box.setItemData(number, tip, 3)  # Qt.ToolTipRole
        self.outline_box = QCheckBox("Outline")
        self.scores = note()
        self.scores.setToolTip(OPINION)
        self.accept_button = QPushButton("Accept")
        self.accept_button.setStyleSheet(NEXT_STEP)
        self.another_button = QPushButton("Another")
        self.reject_button = QPushButton("Reject")
        self.undo_button = QPushButton("Undo")
        self.redo_button = QPushButton("Redo")
        self.journal = JournalList(controller)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.rows.addWidget(self.mark)
        self.rows.addWidget(self.strip)
        blend = row()
        blend.addWidget(QLabel("Before"))
        blend.addWidget(self.blend, 1)
        blend.addWidget(QLabel("After"))
        self.rows.addLayout(blend)
        self.rows.addLayout(row(self.look_box, self.outline_box))
        self.rows.addWidget(self.scores)
        self.rows.addLayout(row(self.accept_button, self.another_button, self.reject_button))
        self.rows.addLayout(row(self.undo_button, self.redo_button))
        self.rows.addWidget(self.journal)

    def _connect(self) -> None:
        controller = self._controller
        reviewing, making = controller.reviewing, controller.making
        self.strip.currentRowChanged.connect(self._choose)
        self.blend.valueChanged.connect(lambda n: reviewing.look_at(opacity=n / 100))
        self.look_box.activated.connect(lambda index: reviewing.look_at(look=list(LOOKS)[index]))
        self.outline_box.toggled.connect(lambda on: reviewing.look_at(outlined=on))
        self.accept_button.clicked.connect(lambda: reviewing.accept())
        self.another_button.clicked.connect(lambda: making.another())
        self.reject_button.clicked.connect(lambda: reviewing.reject())
        self.undo_button.clicked.connect(lambda: reviewing.undo())
        self.redo_button.clicked.connect(lambda: reviewing.redo())

    def refresh(self) -> None:
        """Show what can be done."""
        controller, reviewing = self._controller, self._controller.reviewing
        reason = controller.why_not.review()
        self.mark.setVisible(controller.mark.shown)
        self._refresh_strip()
        self._refresh_scores()
        self.blend.blockSignals(True)
        self.blend.setValue(round(reviewing.opacity * 100))
        self.blend.blockSignals(False)
        self.look_box.setCurrentIndex(list(LOOKS).index(reviewing.look))
        self.outline_box.setChecked(reviewing.outlined)
        look = controller.why_not.look()
        explain(self.blend, "From the slide as it was to the result. Key: Shift+B.", look)
        explain(self.look_box, LOOKS[reviewing.look][1], look)
        explain(self.outline_box, "Draw the border of what was painted.", look)
        explain(
            self.accept_button,
            "Keep it: it is written beside the slide with its provenance, never into it. "
            "Key: Shift+K.",
            reason,
        )
        explain(self.another_button, "Try again with other seeds. Key: Shift+N.", reason)
        explain(
            self.reject_button, "Drop the proposal; what you painted stays. Key: Shift+R.", reason
        )
        explain(self.undo_button, "Take the last accepted edit back.", controller.why_not.undo())
        explain(self.redo_button, "Put it in place again.", controller.why_not.redo())
        self.journal.refresh()

    def _refresh_scores(self) -> None:
        proposal = self._controller.proposal
        said = None if proposal is None else proposal.scores
        self.scores.setVisible(said is not None)
        if said is not None:
            sentence = said.sentence if isinstance(said, Scores) else said
            self.scores.setText(f"{sentence}\n{NO_REALISM}")
            name = f"\nThe segmenter: {said.segmenter}." if isinstance(said, Scores) else ""
            self.scores.setToolTip(f"{OPINION}{name}")

    def _refresh_strip(self) -> None:
        proposal = self._controller.proposal
        variants = proposal.variants if proposal is not None else []
        self.strip.setVisible(len(variants) > 1)
        if proposal is self._proposal:
            return
        self._proposal = proposal
        self.strip.blockSignals(True)
        self.strip.clear()
        for parts in variants:
            self.strip.addItem(icon_of(thumbnail(parts[0].image), str(parts[0].result.seed)))
        self.strip.setCurrentRow(0 if variants else -1)
        self.strip.blockSignals(False)

    def _choose(self, variant: int) -> None:
        if variant >= 0:
            self._controller.reviewing.choose(variant)
