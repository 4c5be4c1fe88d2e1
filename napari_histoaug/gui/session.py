"""An open slide with its pyramid and its edits, reachable from the layer that shows it.

The session travels *in the layer*: ``layer.metadata["napari-histoaug"]`` is a :class:`SlideCard`,
an ordinary small dict (JSON-safe, no names, no free text) that also carries the session as an
attribute. So there is no registry, no look-up by layer name, writers that dump the metadata see
plain values, and the files are let go when the last layer that shows them is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_histoaug.edits import EditStore
    from napari_histoaug.gui.jobs import Job
    from napari_histoaug.slides import Slide
    from napari_histoaug.slides.pyramid import Pyramid

KEY = "napari-histoaug"


@dataclass(eq=False)
class SlideSession:
    """What belongs together while a slide is open.

    Attributes
    ----------
    slide : Slide
        Opened read-only.
    edits : EditStore
        Accepted edits; pasted over the slide by the pyramid.
    pyramid : Pyramid
        The zarr arrays of its levels.
    rough : bool
        Its overview has to be built first: levels that are slow to make are shown roughly.
    settling : Job, optional
        The running search for what belongs to a large file that is new here; see
        :mod:`~napari_histoaug.gui.settling`.
    found : psygnal.Signal
        Emitted on the main thread when that search has ended.
    """

    found: ClassVar[Signal] = Signal()

    slide: Slide
    edits: EditStore
    pyramid: Pyramid
    rough: bool = False
    settling: Job | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """World units per level-0 pixel: micrometres, or pixels when the slide does not say."""
        return self.slide.mpp or (1.0, 1.0)

    @property
    def units(self) -> tuple[str, str]:
        """Units of the two axes."""
        return ("um", "um") if self.slide.mpp else ("pixel", "pixel")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of level 0."""
        height, width = self.slide.levels[0].shape
        return int(height), int(width)

    @property
    def downsamples(self) -> list[tuple[float, float]]:
        """(dy, dx) of each level shown, finest first."""
        return [(float(dy), float(dx)) for dy, dx in self.pyramid.downsamples]

    def read(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """The level-0 pixels of a box with the accepted edits, uint8 (height, width, 3)."""
        return self.edits.read_block(self.slide, *box)

    def __deepcopy__(self, memo: dict[int, Any]) -> SlideSession:
        # duplicating a layer deep-copies its metadata; an open file is shared, not copied
        return self


class SlideCard(dict[str, Any]):
    """JSON-safe facts about the slide of a layer, plus the open session.

    Attributes
    ----------
    session : SlideSession
        Not part of the dict's contents.
    """

    session: SlideSession

    def __init__(self, session: SlideSession) -> None:
        super().__init__(
            vendor=str(session.slide.vendor),
            shape=list(session.shape),
            mpp=list(session.slide.mpp) if session.slide.mpp else None,
            levels=len(session.downsamples),
        )
        self.session = session

    def __deepcopy__(self, memo: dict[int, Any]) -> SlideCard:
        return SlideCard(self.session)


def open_session(path: str | Path) -> SlideSession:
    """Open a slide with the edits accepted for it earlier.

    Raises
    ------
    HistoaugError
        One sentence: the file cannot be opened, or its edits cannot be read.
    """
    from napari_histoaug.edits import EditStore
    from napari_histoaug.slides import open_slide
    from napari_histoaug.slides.pyramid import open_pyramid
    from napari_histoaug.slides.sidecar import find_sidecar, needs_sidecar

    slide = open_slide(path)
    try:
        # A large file that is new to us is hashed later, off the main thread.
        edits = EditStore.open(slide, at_once=False)
        rough = needs_sidecar(slide) and find_sidecar(slide, at_once=False) is None
        pyramid = open_pyramid(slide, overlay=edits, at_once=False)
        return SlideSession(slide, edits, pyramid, rough)
    except BaseException:
        slide.close()
        raise


def session_of(layer: Layer | None) -> SlideSession | None:
    """The session of a layer that shows a slide, or None for any other layer."""
    if layer is None:
        return None
    return getattr(layer.metadata.get(KEY), "session", None)
