"""Reviewing: looking at a proposal, keeping it or not, and the journal of what was kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info

from napari_histoaug.gui import work
from napari_histoaug.gui.geometry import Box, origin_of
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks, JobHandle
from napari_histoaug.gui.kept_edit import KeptEdit
from napari_histoaug.gui.pictures import Look
from napari_histoaug.gui.proposal import Proposal
from napari_histoaug.gui.result_layer import ResultLayer
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.shown import refresh

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histoaug.edits import EditRecord
    from napari_histoaug.gui.controller import Controller

KEYS = {"Shift-K": "accept", "Shift-R": "reject", "Shift-B": "toggle", "Shift-N": "another"}
"""Keep, Reject, Before, Next; free of napari's own keys."""
FILLS = 0.4  # share of the view's height that an edit fills when it is flown to


class Reviewing:
    """What the panel *Review* does.

    Attributes
    ----------
    look : str
        How proposals are looked at, see :mod:`~napari_histoaug.gui.pictures`.
    outlined : bool
        The border of the hole is drawn.
    opacity : float
        0 is the slide as it was, 1 the result.
    kept : KeptEdit or None
        The accepted edit that is looked at again.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.look: Look = "result"
        self.outlined = False
        self.opacity = 1.0
        self.kept: KeptEdit | None = None
        self._results: list[ResultLayer] = []
        for key in KEYS:
            controller.viewer.bind_key(key, self._pressed(key), overwrite=True)

    def close(self) -> None:
        """Give the keys back."""
        for key in KEYS:
            self.controller.viewer.bind_key(key, None, overwrite=True)

    def _pressed(self, key: str) -> Callable[[Any], None]:
        def act(viewer: Any) -> None:
            if KEYS[key] == "another":
                self.controller.making.another()
            else:
                getattr(self, KEYS[key])()

        return act

    # ---- looking -------------------------------------------------------------------------------

    def result_layer(self, slide_layer: Image, session: SlideSession) -> ResultLayer:
        """The layer that shows results on a slide, made when there is none."""
        self._results = [result for result in self._results if result.is_there]
        for result in self._results:
            if result.slide_layer is slide_layer:
                return result
        self._results.append(ResultLayer(self.controller.viewer, slide_layer, session))
        return self._results[-1]

    def show(self) -> None:
        """Show the proposal, or else the edit that is looked at again, as chosen."""
        shown = self.controller.proposal or self.kept
        if shown is not None:
            shown.look_at(self.look, self.outlined, self.opacity)

    @explained
    def look_back(self, record: EditRecord) -> None:
        """Look at an accepted edit again, as at a proposal; at one taken back there is nothing."""
        controller = self.controller
        layer, session = controller.needed_slide()
        self.leave()
        if controller.proposal is None and not controller.busy and record in session.edits.edits:
            self.kept = KeptEdit(session, record, self.result_layer(layer, session))
            self.show()
        controller.changed.emit()

    def leave(self) -> None:
        """Look no longer at an accepted edit."""
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.remove()

    def look_at(
        self, look: Look | None = None, outlined: bool | None = None, opacity: float | None = None
    ) -> None:
        """Look at results another way; what is None stays."""
        self.look = self.look if look is None else look
        self.outlined = self.outlined if outlined is None else outlined
        self.opacity = self.opacity if opacity is None else opacity
        self.show()
        self.controller.changed.emit()

    def toggle(self) -> None:
        """Show the slide as it was, or the result again."""
        self.look_at(opacity=0.0 if self.opacity > 0.5 else 1.0)

    def choose(self, variant: int) -> None:
        """Take another variant of the proposal."""
        proposal = self.controller.proposal
        if proposal is not None and variant != proposal.chosen:
            proposal.choose(variant)
            self.controller.changed.emit()

    # ---- deciding ------------------------------------------------------------------------------

    @explained
    def accept(self) -> None:
        """Keep the proposal: write it to the edit store and show it as part of the slide.

        The strokes it was made from are erased, see :meth:`Painting.consume`.
        """
        controller = self.controller
        controller.refuse(controller.why_not.review())
        proposal = controller.proposal
        assert proposal is not None
        parts = proposal.parts
        controller.start(
            "writing the edit",
            lambda handle: work.accept(handle, proposal.session, parts),
            JobCallbacks(
                done=lambda records: self._accepted(proposal, [part.box for part in parts]),
                failed=self._failed,
            ),
        )

    def _accepted(self, proposal: Proposal, boxes: list[Box]) -> None:
        controller = self.controller
        self.show_edits(proposal.session, boxes)
        proposal.remove()
        if controller.proposal is proposal:
            controller.proposal = None
        for drawn in proposal.drawn:
            controller.painting.consume(drawn, boxes)

    @explained
    def reject(self) -> None:
        """Drop the proposal; the strokes stay."""
        self.controller.refuse(self.controller.why_not.review())
        self.drop()
        self.controller.changed.emit()

    def drop(self) -> None:
        """Take a waiting proposal away, and look at no edit."""
        self.leave()
        proposal, self.controller.proposal = self.controller.proposal, None
        if proposal is not None:
            proposal.remove()

    # ---- what was kept -------------------------------------------------------------------------

    @explained
    def undo(self) -> None:
        """Take the last accepted edit back."""
        controller = self.controller
        controller.refuse(controller.why_not.undo())
        _, session = controller.needed_slide()
        self._step("taking the edit back", session, session.edits.undo)

    @explained
    def redo(self) -> None:
        """Put the edit that was taken back last in place again."""
        controller = self.controller
        controller.refuse(controller.why_not.redo())
        _, session = controller.needed_slide()
        self._step("putting the edit back", session, session.edits.redo)

    def _step(self, name: str, session: SlideSession, move: Callable[[], Any]) -> None:
        self.controller.start(
            name,
            lambda handle: move(),
            JobCallbacks(
                done=lambda record: self.show_edits(session, [record.box] if record else []),
                failed=self._failed,
            ),
        )

    def show_edits(self, session: SlideSession, boxes: list[Box]) -> None:
        """Let the pyramid and the layers forget what they knew about these boxes."""
        self.leave()
        for box in boxes:
            session.pyramid.invalidate(box)
        for layer in self.controller.slide_layers:
            if session_of(layer) is session:
                refresh(layer)

    def fly_to(self, record: EditRecord) -> None:
        """Bring an edit into the middle of the view."""
        controller = self.controller
        layer, session = controller.needed_slide()
        y, x, height, width = record.box
        scale, origin = session.scale, origin_of(layer)
        canvas = getattr(controller.viewer, "canvas", None)
        # before napari 0.9 the viewer itself held the size
        size = controller.viewer._canvas_size if canvas is None else canvas.size
        controller.viewer.camera.center = (
            origin[0] + (y + height / 2) * scale[0],
            origin[1] + (x + width / 2) * scale[1],
        )
        controller.viewer.camera.zoom = FILLS * size[0] / (height * scale[0])

    @explained
    def replay(self, record: EditRecord) -> None:
        """Make an edit's pixels again from its record and say whether they are the same."""
        controller = self.controller
        controller.refuse(controller.why_not.run())
        _, session = controller.needed_slide()
        settings, shelf = controller.settings, controller.shelf
        model, device, donors = settings.model, settings.device, settings.donors

        def again(handle: JobHandle) -> Any:
            from napari_histoaug.generation.replay import replay

            if not shelf.has(model, device):
                handle.say("Loading the model…")
            generator = shelf.get(model, device)
            handle.clock.restart()
            return replay(
                generator,
                session.edits,
                record,
                donors,
                progress=handle.progress,
                cancelled=handle.cancelled,
            )

        controller.start(
            "replaying",
            again,
            JobCallbacks(
                done=lambda found: controller.tell(found.sentence, show_info),
                failed=self._failed,
            ),
        )

    def _failed(self, error: Exception) -> None:
        self.controller.tell(str(error), show_error)
