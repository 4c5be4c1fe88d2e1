"""The dock widget *Annotations*: open, look, hide classes, edit what is in view, save."""

from __future__ import annotations

from pathlib import Path

import napari.viewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_histoaug.gui.annotation_desk import NO_ANNOTATIONS, AnnotationDesk
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import Panel, explain, note, row
from napari_histoaug.gui.warning_color import WarningStyle, warn

READABLE = "Annotations (*.geojson *.json *.gz *.zip)"
WRITABLE = "GeoJSON (*.geojson *.geojson.gz);;OME-Zarr label image (*.zarr)"
_SWATCH = 12


class AnnotationsWidget(QWidget):
    """Shows QuPath's annotations on the slide.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    desk : AnnotationDesk
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.desk = AnnotationDesk(napari_viewer)
        self._docked = False
        self._make_controls()
        self._lay_out()
        self._warning_style = WarningStyle(self, self.desk.viewer)
        self._connect()
        self._refresh()

    def _make_controls(self) -> None:
        self.open_button = QPushButton("Open…")
        self.facts = note()
        self.class_list = QListWidget()
        self.hover = note()
        self.class_box = QComboBox()
        self.edit_button = QPushButton("Edit in view")
        self.keep_button = QPushButton("Keep")
        self.discard_button = QPushButton("Discard")
        self.save_button = QPushButton("Save…")
        self.qupath_button = QPushButton("Export for QuPath…")
        self.progress = note()
        self.cancel_button = QPushButton("Cancel")
        self.warning = note()
        warn(self.warning)

    def _lay_out(self) -> None:
        look, edit, save = Panel("Annotations"), Panel("Edit"), Panel("Save")
        for widget in (self.open_button, self.facts, self.class_list, self.hover):
            look.rows.addWidget(widget)
        for widget in (self.progress, self.cancel_button, self.warning):
            look.rows.addWidget(widget)
        edit.rows.addWidget(self.class_box)
        edit.rows.addWidget(self.edit_button)
        edit.rows.addLayout(row(self.keep_button, self.discard_button))
        save.rows.addWidget(self.save_button)
        save.rows.addWidget(self.qupath_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 10, 6, 6)
        column.setSpacing(10)
        for panel in (look, edit, save):
            column.addWidget(panel)
        column.addStretch(1)
        self.setMinimumWidth(280)

    def _connect(self) -> None:
        desk = self.desk
        self.open_button.clicked.connect(self._open)
        self.save_button.clicked.connect(lambda: self._save(for_qupath=False))
        self.qupath_button.clicked.connect(lambda: self._save(for_qupath=True))
        self.class_list.itemChanged.connect(self._toggle)
        self.class_box.textActivated.connect(self._choose_class)
        self.edit_button.clicked.connect(lambda: desk.edit())
        self.keep_button.clicked.connect(lambda: desk.keep())
        self.discard_button.clicked.connect(lambda: desk.discard())
        self.cancel_button.clicked.connect(lambda: desk.cancel())
        desk.changed.connect(self._refresh)
        desk.progressed.connect(self._show_progress)
        desk.hovered.connect(self._show_hovered)
        # the desk, not a method of the widget: when this is heard the widget is gone
        self.destroyed.connect(desk.close)

    def _refresh(self) -> None:
        desk, view = self.desk, self.desk.view
        if view is None:
            self.facts.setText(NO_ANNOTATIONS)
        else:
            count = len(view.picture.index)
            self.facts.setText(f"{count:,} outline{'s' if count != 1 else ''} shown")
        self._list_classes()
        for widget in (self.progress, self.cancel_button):
            widget.setVisible(desk.busy)
        self.warning.setText(desk.sentence)
        self.warning.setVisible(bool(desk.sentence))
        busy = f"Busy: {desk.job.name}." if desk.job else None
        explain(self.open_button, "Open a GeoJSON file onto the slide.", busy)
        save = desk.why_not_save()
        explain(self.save_button, "Write back what was read and edited, unchanged elsewhere.", save)
        purpose = "Write what QuPath 0.6 and newer accept; repairs are listed."
        explain(self.qupath_button, purpose, desk.why_not_edit())
        edit = "Annotations are being edited." if desk.is_editing else desk.why_not_edit()
        explain(self.edit_button, "Turn the outlines in view into shapes to edit.", edit)
        explain(self.class_box, "The class of outlines that you draw.", desk.why_not_edit())
        idle = None if desk.is_editing else "Nothing is being edited."
        explain(self.keep_button, "Put the edited outlines back.", idle)
        explain(self.discard_button, "Leave the annotations as they were.", idle)

    def _list_classes(self) -> None:
        view = self.desk.view
        classes = view.picture.classes if view else ()
        hidden = view.picture.hidden if view else set()
        self.class_list.blockSignals(True)
        self.class_list.clear()
        for shown in classes:
            item = QListWidgetItem(_swatch(shown.color), f"{shown.name}  ({shown.outlines:,})")
            item.setData(Qt.ItemDataRole.UserRole, shown.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            visible = shown.name not in hidden
            item.setCheckState(Qt.CheckState.Checked if visible else Qt.CheckState.Unchecked)
            self.class_list.addItem(item)
        self.class_list.blockSignals(False)
        self.class_list.setMaximumHeight(24 * max(2, min(8, len(classes))))
        names = [shown.name for shown in classes]
        if [self.class_box.itemText(i) for i in range(self.class_box.count())] != names:
            self.class_box.clear()
            self.class_box.addItems(names)
        self.class_box.setCurrentText(self.desk.new_class)

    def _toggle(self, item: QListWidgetItem) -> None:
        visible = item.checkState() == Qt.CheckState.Checked
        self.desk.set_visible(item.data(Qt.ItemDataRole.UserRole), visible)

    def _choose_class(self, name: str) -> None:
        self.desk.set_new_class(name)

    def _show_progress(self, news: Progress | str) -> None:
        self.progress.setText(news.text if isinstance(news, Progress) else news)

    def _show_hovered(self, text: str) -> None:
        self.hover.setText(text)

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open annotations", "", READABLE)
        if path:
            self.desk.open(Path(path))

    def _save(self, for_qupath: bool) -> None:
        title, kinds = ("Export for QuPath", WRITABLE.partition(";;")[0])
        if not for_qupath:
            title, kinds = "Save annotations", WRITABLE
        path, _ = QFileDialog.getSaveFileName(self, title, "", kinds)
        if path:
            self.desk.save(Path(path), for_qupath)

    def event(self, event: QEvent | None) -> bool:
        """Taken out of its dock (napari's close button does that), it stops its work."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.desk.close()
        return super().event(event)


def _swatch(color: tuple[int, int, int]) -> QIcon:
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor(*color))
    return QIcon(pixmap)
