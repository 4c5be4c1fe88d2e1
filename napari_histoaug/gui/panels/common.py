"""What the panels share: a titled box, rows, and controls that say why they are disabled."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QIcon
from qtpy.QtWidgets import (
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_histoaug.gui.jobs import Progress

NEXT_STEP = "QPushButton:enabled { background-color: #2f6fb5; color: white; font-weight: bold; }"
"""Style of the one button a panel is about, while it can be clicked."""


class Panel(QGroupBox):
    """A group box with a vertical layout, ``self.rows``."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(10, 14, 10, 10)
        self.rows.setSpacing(6)


def explain(widget: QWidget, purpose: str, reason: str | None) -> None:
    """Enable a control when nothing stands in its way; the tooltip says what does."""
    widget.setEnabled(reason is None)
    widget.setToolTip(purpose if reason is None else f"{purpose}\n\nNot now: {reason}")


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets side by side, equally wide."""
    layout = QHBoxLayout()
    layout.setSpacing(6)
    for widget in widgets:
        layout.addWidget(widget, 1)
    return layout


def narrow(box: QComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest choice, so that it never widens the panel."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    return box


def apart(widget: QWidget) -> QWidget:
    """Let a widget that changes while a job runs be drawn by itself.

    In a window with an OpenGL canvas Qt otherwise composes the whole window anew for every letter,
    which takes a processor that draws OpenGL itself up to a tenth of a second.
    """
    if QGuiApplication.platformName() in ("xcb", "windows"):
        widget.setAttribute(Qt.WidgetAttribute.WA_DontCreateNativeAncestors)
        widget.setAttribute(Qt.WidgetAttribute.WA_NativeWindow)
    return widget


def note(text: str = "") -> QLabel:
    """A quiet line of text that wraps and never widens the panel."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def folded(title: str, content: QWidget, purpose: str) -> QCollapsible:
    """Put a widget behind a line of text that unfolds it."""
    # the icons that come with it are drawn black, also on a dark theme
    fold = QCollapsible(f"▸ {title}", collapsedIcon=QIcon(), expandedIcon=QIcon())
    fold.addWidget(content)
    fold.setContentsMargins(0, 0, 0, 0)
    fold.toggleButton().setStyleSheet("background: transparent; text-align: left;")
    fold.toggleButton().setToolTip(purpose)
    fold.toggled.connect(lambda on: fold.setText(f"{'▾' if on else '▸'} {title}"))
    layout = fold.layout()
    if layout is not None:
        layout.setContentsMargins(0, 0, 0, 0)
    return fold


def show_progress(bar: QProgressBar, label: QLabel, news: Progress | str) -> None:
    """Show how far a job is, or what it does while nobody can say how far."""
    if isinstance(news, Progress):
        bar.setRange(0, news.total)
        bar.setValue(news.done)
        label.setText(news.text)
    else:
        # not the busy bar: its animation repaints the window without end (see jobs.INTERVAL)
        bar.setRange(0, 1)
        bar.setValue(0)
        label.setText(news)
