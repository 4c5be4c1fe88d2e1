"""Panel 1: which slide."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_histoaug.gui.controller import Controller
from napari_histoaug.gui.jobs import Progress
from napari_histoaug.gui.panels.common import Panel, explain, note
from napari_histoaug.gui.session import SlideSession
from napari_histoaug.gui.warning_color import warn

WATCH_MILLISECONDS = 1000
MOST_LISTED = 20
BUILD, CANCEL = "Build overview", "Cancel"
NO_OVERVIEW = "The file has no coarse levels, so it is shown roughly when zoomed out."


class SlidePanel(Panel):
    """Chooses the slide layer and says how large its pixels are."""

    def __init__(self, controller: Controller) -> None:
        super().__init__("1  Slide")
        self._controller = controller
        self.slide_box = QComboBox()
        self.facts = note()
        self.warning = note()
        warn(self.warning)
        self.back_button = QPushButton("Back to the last view")
        self.back_button.setToolTip("Look at the slide as when it was closed.")
        self.back_button.clicked.connect(lambda: controller.go_back())
        self._asked: SlideSession | None = None
        self.overview_note = note()
        self.overview_button = QPushButton(BUILD)
        for widget in (
            self.slide_box,
            self.facts,
            self.warning,
            self.back_button,
            self.overview_note,
            self.overview_button,
        ):
            self.rows.addWidget(widget)
        self.overview_button.clicked.connect(self._build_or_cancel)
        controller.progressed.connect(self._show_progress)
        self.slide_box.activated.connect(self._choose)
        self._watch = QTimer(self)
        self._watch.timeout.connect(self._warn)
        self._watch.start(WATCH_MILLISECONDS)

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
        if session is not self._asked or session is None:
            # once a slide: it reads a file
            self._asked = session
            self.back_button.setVisible(self._controller.last_view is not None)
        self._refresh_overview()
        self._warn()

    def _refresh_overview(self) -> None:
        """Offer the overview while the slide lacks it; *Cancel* while it is built."""
        overview = self._controller.overview
        building, was_building = overview.building, self.overview_button.text() == CANCEL
        for widget in (self.overview_note, self.overview_button):
            widget.setVisible(overview.missing or building)
        if building and not was_building:
            self.overview_note.setText("Starting…")
        elif not building:
            self.overview_note.setText(NO_OVERVIEW)
        self.overview_button.setText(CANCEL if building else BUILD)
        if building:
            explain(self.overview_button, "Stop at the next tile; nothing is kept.", None)
        else:
            reason = self._controller.why_not.ready()
            explain(self.overview_button, overview.purpose() or BUILD, reason)

    def _show_progress(self, news: Progress | str) -> None:
        if self._controller.overview.building:
            self.overview_note.setText(news.text if isinstance(news, Progress) else news)

    def _build_or_cancel(self) -> None:
        if self._controller.overview.building:
            self._controller.cancel()
        else:
            self._controller.overview.build()

    def _warn(self) -> None:
        """Say what is wrong with the slide; damage is met while reading, at any time."""
        warning, details = _warning(self._controller.session)
        if warning != self.warning.text() or bool(warning) != self.warning.isVisibleTo(self):
            self.warning.setText(warning)
            self.warning.setToolTip(details)
            self.warning.setVisible(bool(warning))

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
    if session.settling is not None:
        return f"{size}\nlooking for earlier edits…"
    count = len(session.edits.edits)
    edits = "no accepted edit" if not count else f"{count} accepted edit{'s' if count > 1 else ''}"
    return f"{size}\n{edits}" + (f" in {Path(session.edits.folder).name}" if count else "")


def _warning(session: SlideSession | None) -> tuple[str, str]:
    """The warnings and, for the tooltip, which tiles are damaged."""
    if session is None:
        return "", ""
    lines = []
    if session.slide.mpp is None:
        lines.append("The slide does not say how large its pixels are.")
    lines += session.slide.notes
    failures = session.slide.failures
    if failures:
        count = len(failures)
        tiles = "One tile of the file is" if count == 1 else f"{count} tiles of the file are"
        lines.append(f"{tiles} damaged and hatched here.")
    details = [
        f"level {f.level}, row {f.row}, column {f.column}: {f.message}"
        for f in failures[:MOST_LISTED]
    ]
    return "\n".join(lines), "\n".join(details)
