"""The dock widget *Find and compare*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari.viewer

from napari_histoaug.gui.compare_desk import CompareDesk
from napari_histoaug.gui.docked import DockedPanels
from napari_histoaug.gui.panels.common import note
from napari_histoaug.gui.panels.compare import ComparePanel
from napari_histoaug.gui.panels.errors import ErrorPanel
from napari_histoaug.gui.panels.find import FindPanel
from napari_histoaug.gui.preferences import preferences
from napari_histoaug.gui.warning_color import WarningStyle, warn


class FindAndCompareWidget(DockedPanels):
    """Finds vessels, and shows where a finding is right or wrong.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    load_segmenter : callable, optional
        See :class:`~napari_histoaug.gui.compare_desk.CompareDesk`.

    Attributes
    ----------
    desk : CompareDesk
    find_panel, compare_panel, error_panel : in workflow order
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        load_segmenter: Callable[..., Any] | None = None,
    ) -> None:
        desk = CompareDesk(napari_viewer, load_segmenter)
        super().__init__(desk)
        self.desk = desk
        desk.finding.settings.device = preferences().device
        self.news = note()
        self.find_panel = FindPanel(desk)
        self.compare_panel = ComparePanel(desk)
        self.error_panel = ErrorPanel(desk)
        self._panels = (self.find_panel, self.compare_panel, self.error_panel)
        self.lay_out([self.news, *self._panels])
        self._warning_style = WarningStyle(self, desk.viewer)
        desk.changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        desk = self.desk
        self.news.setText(desk.sentence)
        self.news.setVisible(bool(desk.sentence))
        warn(self.news, desk.is_warning)
        for panel in self._panels:
            panel.refresh()
        self.settle()
