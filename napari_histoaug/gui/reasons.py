"""What stands in the way of an action, in a sentence; shown where its control is disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller

NO_SLIDE = "Open a whole-slide image first: File > Open, or drop one on the window."


class Reasons:
    """Looks at the controller; every method gives a reason, or None when nothing is in the way."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def paint(self) -> str | None:
        """Why *Paint here* cannot be clicked, or None."""
        return NO_SLIDE if self._controller.session is None else None

    def undo_stroke(self) -> str | None:
        """Why *Undo stroke* cannot be clicked, or None."""
        if self._controller.painting.can_undo:
            return None
        return self.paint() or "No stroke was painted since the slide was opened."

    def redo_stroke(self) -> str | None:
        """Why *Redo stroke* cannot be clicked, or None."""
        if self._controller.painting.can_redo:
            return None
        return self.paint() or "There is no stroke that was taken back."

    def run(self) -> str | None:
        """Why *Inpaint vessel* cannot be clicked, or None."""
        missing = self._controller.making.engine.missing
        return missing or self.ready()

    def ready(self) -> str | None:
        """Why nothing can be done to the slide's edits, or None."""
        return self.paint() or self._busy() or self._settling()

    def batch(self) -> str | None:
        """Why *Fill all* cannot be clicked, or None."""
        making, settings = self._controller.making, self._controller.settings
        if self.run() is None and settings.purpose == "synthesise":
            return "A region is synthesised alone: choose Inpaint, Remove or Restore."
        if self.run() is None and not making.count_annotated():
            name = settings.label.replace("_", " ")
            return f"No annotation of the class {name} lies on the slide: open a GeoJSON onto it."
        return self.run()

    def review(self) -> str | None:
        """Why *Accept* and *Reject* cannot be clicked, or None."""
        if self._controller.busy:
            return self._busy()
        if self._controller.proposal is None:
            return "There is no proposal yet: paint a vessel and click Inpaint vessel."
        return None

    def look(self) -> str | None:
        """Why there is nothing to compare, or None."""
        controller = self._controller
        if controller.busy or controller.proposal is not None or controller.reviewing.kept is None:
            reason = self.review()
            return reason and f"{reason.removesuffix('.')}, or click an accepted edit in the list."
        return None

    def undo(self) -> str | None:
        """Why *Undo* cannot be clicked, or None."""
        session = self._controller.session
        if session is not None and not session.edits.can_undo:
            return self.ready() or "This slide has no accepted edit to take back."
        return self.ready()

    def redo(self) -> str | None:
        """Why *Redo* cannot be clicked, or None."""
        session = self._controller.session
        if session is not None and not session.edits.can_redo:
            return self.ready() or "There is no edit that was taken back."
        return self.ready()

    def export(self) -> str | None:
        """Why *Export pair* cannot be clicked, or None."""
        session = self._controller.session
        if session is not None and not session.edits.edits:
            return self.ready() or "There is no accepted edit to export: accept a proposal first."
        if not self._controller.folder.strip():
            return self.ready() or "Choose a folder to export to."
        return self.ready()

    def _settling(self) -> str | None:
        session = self._controller.session
        if session is None or session.settling is None:
            return None
        return "The file is new here and large: it is still read to find its earlier edits."

    def _busy(self) -> str | None:
        job = self._controller.job
        return None if job is None else f"Busy: {job.name}."
