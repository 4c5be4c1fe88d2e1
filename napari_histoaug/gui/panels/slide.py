"""Panel 1: which slide."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QComboBox

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.panels.common import WARNING, Panel, explain, note
from napari_histoaug.gui.session import SlideSession


class SlidePanel(Panel):
    """Chooses the slide layer and says how large its pixels are."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("1  Slide")
        self._controller = controller
        self.slide_box = QComboBox()
        self.facts = note()
        self.warning = note()
        self.warning.setStyleSheet(WARNING)
        for widget in (self.slide_box, self.facts, self.warning):
            self.rows.addWidget(widget)
        self.slide_box.activated.connect(self._choose)

    def refresh(self) -> None:
        """Show the controller's slides."""
        layers = self._controller.slide_layers
        self.slide_box.blockSignals(True)
        self.slide_box.clear()
        self.slide_box.addItems([layer.name for layer in layers] or ["no slide open"])
        if self._controller.slide_layer in layers:
            self.slide_box.setCurrentIndex(layers.index(self._controller.slide_layer))
        self.slide_box.blockSignals(False)
        explain(self.slide_box, "The slide to work on.", self._controller.why_not.paint())
        session = self._controller.session
        self.facts.setText(_facts(session) if session else self._controller.why_not.paint() or "")
        warning = _warning(session)
        self.warning.setVisible(bool(warning))
        self.warning.setText(warning)

    def _choose(self, index: int) -> None:
        layers = self._controller.slide_layers
        if index < len(layers):
            self._controller.slide_layer = layers[index]


def _facts(session: SlideSession) -> str:
    height, width = session.shape
    mpp = session.slide.mpp
    size = f"{height} × {width} px"
    if mpp:
        size += f", {(mpp[0] + mpp[1]) / 2:.3g} µm a pixel"
    count = len(session.edits.edits)
    edits = "no accepted edit" if not count else f"{count} accepted edit{'s' if count > 1 else ''}"
    return f"{size}\n{edits}" + (f" in {Path(session.edits.folder).name}" if count else "")


def _warning(session: SlideSession | None) -> str:
    lines = []
    if session is not None and session.slide.mpp is None:
        lines.append("The slide does not say how large its pixels are.")
    if session is not None and session.slide.failures:
        lines.append("Damaged tiles of the file are hatched.")
    return "\n".join(lines)
