"""A desk that works on one of the slides in the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.job_desk import JobDesk
from napari_histoaug.gui.reasons import NO_SLIDE
from napari_histoaug.gui.session import SlideSession, session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class SlideDesk(JobDesk):
    """A job desk with a viewer and a slide in it.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        # napari hands plugins a proxy whose layers are never the same objects twice
        self.viewer: ViewerModel = getattr(viewer, "__wrapped__", viewer)
        self._slide_layer: Image | None = None
        self._closed = False

    @property
    def slide_layer(self) -> Image | None:
        """The layer of the slide worked on: the one selected last, else the last one."""
        return self._slide_layer

    @property
    def session(self) -> SlideSession | None:
        """The open slide of :attr:`slide_layer`."""
        return session_of(self._slide_layer)

    def needed_slide(self) -> tuple[Image, SlideSession]:
        """The slide worked on, or an error that asks for one."""
        layer, session = self._slide_layer, self.session
        if layer is None or session is None:
            raise HistoaugError(NO_SLIDE)
        return layer, session
