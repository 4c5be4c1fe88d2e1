"""A result that is not accepted yet, shown in place over the slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.judging import Scores, together
from napari_histoaug.gui.pictures import Look, picture
from napari_histoaug.gui.result_layer import ResultLayer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.gui.painting import Drawn
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.gui.work import Part


class Proposal:
    """The layers of one result: an RGBA image for each box, opaque only where pixels change.

    Parameters
    ----------
    viewer : ViewerModel
    session, drawn
        As the attributes.
    number : int
        For the names of the layers.
    kept : ResultLayer
        Shows the first box, and is hidden in the end; other boxes get layers of their own.

    Attributes
    ----------
    session : SlideSession
        The slide it belongs to.
    slide_layer : Image
        The layer of that slide.
    drawn : sequence of Drawn
        What it was made from, for each class.
    variants : list of list of Part
        Results to choose from, each with all its boxes; empty while the network is at work.
    chosen : int
        The variant that is shown, and accepted.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SlideSession,
        drawn: Sequence[Drawn],
        number: int,
        kept: ResultLayer,
    ) -> None:
        self._viewer = viewer
        self._number = number
        self._kept = kept
        self._layers: dict[Box, ResultLayer] = {}
        self.session = session
        self.slide_layer = kept.slide_layer
        self.drawn = drawn
        self.variants: list[list[Part]] = []
        self.chosen = 0
        self._look: Look = "result"
        self._outlined = False
        self._opacity = 1.0

    @property
    def parts(self) -> list[Part]:
        """The boxes of the chosen variant; empty while the network is still at work."""
        return self.variants[self.chosen] if self.variants else []

    @property
    def scores(self) -> Scores | str | None:
        """What a segmenter says of the chosen variant, or why it says nothing."""
        return together([part.scores for part in self.parts])

    @property
    def notes(self) -> list[str]:
        """What the network had to do for lack of memory, each sentence once."""
        every = (part.result for part in self.parts)
        return list(dict.fromkeys(note for made in every for note in getattr(made, "notes", ())))

    @property
    def layers(self) -> list[Image]:
        """Its layers that the viewer still holds."""
        return [result.layer for result in self._layers.values() if result.is_there]

    def show(self, box: Box, image: np.ndarray, shown: np.ndarray) -> None:
        """Show ``image`` (uint8 (h, w, 3)) over a level-0 box where ``shown`` (bool) is True."""
        self._put(box, np.dstack([image, np.where(shown, 255, 0).astype(np.uint8)]))

    def _put(self, box: Box, rgba: np.ndarray) -> None:
        result = self._layers.get(box)
        if result is None:
            result = self._layers[box] = self._free()
            name = f"{self.session.slide.name} inpaint {self._number:03d}"
            result.show(box, rgba, name, self._opacity)
        elif result.is_there:
            result.layer.data = rgba

    def _free(self) -> ResultLayer:
        """A layer that shows no box yet."""
        if self._kept.is_there and self._kept not in self._layers.values():
            return self._kept
        return ResultLayer(self._viewer, self.slide_layer, self.session)

    def show_variants(self, variants: list[list[Part]]) -> None:
        """Show the finished result, also when its preview was taken out of the layer list."""
        self._layers = {box: result for box, result in self._layers.items() if result.is_there}
        self.variants = variants
        self._draw()

    def choose(self, variant: int) -> None:
        """Show, and later accept, another variant."""
        self.chosen = variant
        self._draw()

    def look_at(self, look: Look, outlined: bool, opacity: float) -> None:
        """Show it another way; `opacity` 0 is the slide alone."""
        redraw = (look, outlined) != (self._look, self._outlined)
        self._look, self._outlined, self._opacity = look, outlined, opacity
        if redraw:
            self._draw()
        for layer in self.layers:
            layer.opacity = opacity

    def _draw(self) -> None:
        for part in self.parts:
            rgba = picture(
                self._look, part.before, part.image, part.changed, part.hole, self._outlined
            )
            self._put(part.box, rgba)

    def remove(self) -> None:
        """Show it no longer."""
        for result in self._layers.values():
            if result is self._kept:
                result.hide()
            else:
                result.remove()
        self._layers = {}
