"""An accepted edit, looked at again: before and after, what changed, its seams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histoaug.gui.pictures import Look, blended, picture
from napari_histoaug.gui.result_layer import ResultLayer

if TYPE_CHECKING:
    from napari_histoaug.edits import EditRecord
    from napari_histoaug.gui.session import SlideSession


class KeptEdit:
    """Shows an edit over the slide, which holds it already, another way.

    Parameters
    ----------
    session : SlideSession
    record : EditRecord
        One that is in place.
    result : ResultLayer

    Raises
    ------
    HistoaugError
        When its pixels or the slide's cannot be read.
    """

    def __init__(self, session: SlideSession, record: EditRecord, result: ResultLayer) -> None:
        self.record = record
        self._result = result
        edits = session.edits
        self._name = f"{session.slide.name} edit"
        self._before = edits.read_before(record)
        self._after, self._changed = edits.read_edit(record)
        self._hole = edits.painted_map(record)

    def look_at(self, look: Look, outlined: bool, opacity: float) -> None:
        """Look at it; `opacity` 0 is the slide as it was before."""
        if (look, outlined, opacity) == ("result", False, 1.0):
            self.remove()  # that is what the slide shows
        elif self._result.is_there:
            seen = picture(look, self._before, self._after, self._changed, self._hole, outlined)
            rgba = blended(self._before, seen, opacity)
            self._result.show(self.record.box, rgba, self._name)

    def remove(self) -> None:
        """Show what the slide shows."""
        self._result.hide()
