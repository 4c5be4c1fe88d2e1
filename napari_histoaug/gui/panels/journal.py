"""The accepted edits of a slide as a list: click to fly there and compare, replay to check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, QTimer
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import explain, note
from napari_histoaug.gui.pictures import thumbnail

if TYPE_CHECKING:
    from napari_histoaug.edits import EditRecord, EditStore

THUMB = 40
ROWS = 4  # seen at once
AT_ONCE = 4  # thumbnails read before the window lives again


class JournalList(QWidget):
    """Newest first; those taken back are pale and can be put in place by *Redo*."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._shown: tuple[EditStore | None, list[str], list[str]] = (None, [], [])
        self._pictures: dict[str, QIcon] = {}
        self.title = note()
        self.list = QListWidget()
        self.list.setIconSize(QSize(THUMB, THUMB))
        self.list.setToolTip(
            "The edits of this slide, newest first; click one to go there and to compare it above."
        )
        self.replay_button = QPushButton("Replay")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.title, self.list, self.replay_button):
            column.addWidget(widget)
        # a child of the list, so that it stops with it
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._read_some)
        self.list.itemClicked.connect(self._fly)
        self.list.currentRowChanged.connect(lambda number: self._refresh_button())
        self.replay_button.clicked.connect(self._replay)

    def refresh(self) -> None:
        """Show the edits of the slide worked on."""
        session = self._controller.session
        edits = session.edits.edits if session is not None else []
        undone = session.edits.undone if session is not None else []
        store = session.edits if session is not None else None
        shown = store, [record.id for record in edits], [record.id for record in undone]
        self.setVisible(bool(edits or undone))
        if shown != self._shown:
            self._shown = shown
            self._fill(edits, undone)
        self._refresh_button()

    def _fill(self, edits: list[EditRecord], undone: list[EditRecord]) -> None:
        count = len(edits)
        back = f", {len(undone)} taken back" if undone else ""
        self.title.setText(f"{count} accepted edit{'' if count == 1 else 's'}{back}")
        self._records = [*undone, *reversed(edits)]
        self.list.blockSignals(True)
        self.list.clear()
        for number, record in enumerate(self._records):
            item = QListWidgetItem(_title(record, number < len(undone)))
            item.setToolTip(_details(record))
            if record.id in self._pictures:
                item.setIcon(self._pictures[record.id])
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.list.setFixedHeight(min(len(self._records), ROWS) * (THUMB + 4) + 4)
        self._later.start(0)

    def _read_some(self) -> None:
        """Read some of the missing thumbnails, then let the window live."""
        session, missing = self._controller.session, []
        if session is not None:
            missing = [(n, r) for n, r in enumerate(self._records) if r.id not in self._pictures]
        for number, record in missing[:AT_ONCE]:
            assert session is not None
            try:
                picture = thumbnail(session.edits.read_edit(record)[0], THUMB)
            except HistoaugError:
                picture = np.zeros((THUMB, THUMB, 3), np.uint8)  # its pixels are gone
            self._pictures[record.id] = _icon(picture)
            item = self.list.item(number)
            if item is not None:
                item.setIcon(self._pictures[record.id])
        if len(missing) > AT_ONCE:
            self._later.start(0)

    def _chosen(self) -> EditRecord | None:
        number = self.list.currentRow()
        return self._records[number] if 0 <= number < self.list.count() else None

    def _refresh_button(self) -> None:
        reason = self._controller.why_not.run()
        if reason is None and self._chosen() is None:
            reason = "Choose an edit in the list first."
        purpose = "Make the chosen edit again from its record, and say whether it is the same."
        explain(self.replay_button, purpose, reason)

    def _fly(self, item: QListWidgetItem) -> None:
        record = self._records[self.list.row(item)]
        self._controller.reviewing.fly_to(record)
        self._controller.reviewing.look_back(record)

    def _replay(self) -> None:
        record = self._chosen()
        if record is not None:
            self._controller.reviewing.replay(record)


def icon_of(picture: np.ndarray, text: str) -> QListWidgetItem:
    """A list item with a picture, uint8 (side, side, 3), and a line of text."""
    return QListWidgetItem(_icon(picture), text)


def _icon(picture: np.ndarray) -> QIcon:
    height, width = picture.shape[:2]
    data = np.ascontiguousarray(picture).tobytes()
    image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image))


def _title(record: EditRecord, undone: bool) -> str:
    name = record.label.replace("_", " ")
    what = {"inpaint": name, "remove": "removed", "restore": "restored"}
    back = " (taken back)" if undone else ""
    return f"{what.get(record.purpose, 'region')}{back}\n{record.created[:16].replace('T', ' ')}"


def _details(record: EditRecord) -> str:
    start = f", from the real vessel {record.donor}" if record.donor else ""
    return (
        f"{record.method}, {record.steps} steps, seed {record.seed}{start}\n"
        f"by {record.model}, {record.evaluations} evaluations, at {record.box[:2]}"
    )
