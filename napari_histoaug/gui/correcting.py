"""Correcting the truth from its comparison: accepting what was found, dropping what is none.

The truth has to be annotations that can be edited, or painted labels. Every step can be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_desk import AnnotationDesk
from napari_histoaug.gui.annotation_view import rebuild, view_of
from napari_histoaug.gui.choices import side_of
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.sides import LabelSide, object_pixels, object_polygon
from napari_histoaug.gui.truths import AnnotationStep, Step, accept, drop, is_painted, paint

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_histoaug.gui.compare_desk import CompareDesk
    from napari_histoaug.segmentation.error_list import WrongObject

MOST_STEPS = 100
NOT_EDITABLE = (
    "Only annotations and painted labels can be corrected here: open the truth as GeoJSON onto the "
    "slide and choose its layer."
)
PAINT = "These are painted labels: paint on their layer itself, then compare again."


class Correcting:
    """Changes the annotations, or the painted labels, that are the truth of a comparison."""

    def __init__(self, desk: CompareDesk) -> None:
        self.controller = desk
        # only while outlines are shapes: it follows every movement of the mouse
        self._annotations: AnnotationDesk | None = None
        self._before: list[Step] = []
        self._editing: AnnotationStep | None = None

    # ---- what stands in the way ----------------------------------------------------------------

    @property
    def is_editing(self) -> bool:
        """Outlines of the truth are shapes now."""
        return self._annotations is not None and self._annotations.is_editing

    def why_not(self) -> str | None:
        """Why the truth cannot be corrected at the current error, or None."""
        comparing = self.controller.comparing
        reason = comparing.why_not_errors() or self.controller.why_not_busy()
        chosen = comparing.settings.truth
        if reason is None and (comparing.truth is None or not comparing.truth.same(chosen)):
            reason = "Another truth is chosen than was compared: compare again."
        if reason is None and comparing.current_error is None:
            reason = "Go to an error first: click it in the list."
        if reason is None and self.is_editing:
            reason = "Outlines are being corrected: keep or discard them first."
        return reason or self._why_not_editable()

    def _why_not_editable(self) -> str | None:
        layer = self._layer
        view = view_of(layer)
        if view is not None:
            return NOT_EDITABLE if view.document is None else None
        return None if is_painted(layer) else NOT_EDITABLE

    def why_not_by_hand(self) -> str | None:
        """Why outlines cannot be edited as shapes at the current error, or None."""
        reason = self.why_not()
        return PAINT if reason is None and view_of(self._layer) is None else reason

    def why_not_undo(self) -> str | None:
        """Why nothing can be taken back, or None."""
        if self.is_editing:
            return "Outlines are being corrected: keep or discard them first."
        if not self._before:
            return "Nothing was corrected yet."
        return self.controller.why_not_busy()

    @property
    def _layer(self) -> Labels | None:
        truth = self.controller.comparing.truth
        layer: Any = truth.layer if truth is not None else None
        return layer

    # ---- correcting ----------------------------------------------------------------------------

    @explained
    def settle(self) -> None:
        """Let the prediction be right: what was invented becomes truth, what was missed goes."""
        from napari_histoaug.segmentation import Outcome

        desk = self.controller
        desk.refuse(self.why_not())
        layer, error = self._needed()
        self._before.append(self._settled(layer, error))
        self._before = self._before[-MOST_STEPS:]
        self._edited()
        said = "is truth now" if error.kind == Outcome.FALSE_POSITIVE else "was taken away"
        desk.tell(f"The outline {said}; Undo takes that back.", show_info)

    @explained
    def correct(self) -> None:
        """Turn the outlines of the truth around the current error into shapes to edit."""
        desk = self.controller
        desk.refuse(self.why_not_by_hand())
        layer, _ = self._needed()
        view = view_of(layer)
        assert desk.comparing.current is not None
        assert view is not None
        desk.comparing.fly_to(desk.comparing.current)
        desk.viewer.layers.selection.active = layer
        self.close()
        self._annotations = annotations = AnnotationDesk(desk.viewer)
        self._editing = AnnotationStep(view, layer)
        annotations.set_new_class(desk.comparing.class_name)
        annotations.edit()
        if not annotations.is_editing:
            self.close()
            desk.refuse(annotations.sentence)
        desk.changed.emit()

    def keep(self) -> None:
        """Put the corrected outlines into the truth."""
        annotations, before = self._annotations, self._editing
        if annotations is None or before is None:
            return
        annotations.keep()
        self.close()
        self._before = [*self._before, before][-MOST_STEPS:]
        self._edited()

    def discard(self) -> None:
        """Leave the truth as it was."""
        if self._annotations is not None:
            self._annotations.discard()
        self.close()
        self.controller.changed.emit()

    @explained
    def undo(self) -> None:
        """Take the last correction back."""
        self.controller.refuse(self.why_not_undo())
        self._before.pop().take_back()
        self._edited()

    def close(self) -> None:
        """Let go of the viewer."""
        annotations, self._annotations, self._editing = self._annotations, None, None
        if annotations is not None:
            annotations.close()

    def _needed(self) -> tuple[Labels, WrongObject]:
        layer, error = self._layer, self.controller.comparing.current_error
        if layer is None or error is None:
            raise HistoaugError(NOT_EDITABLE)
        return layer, error

    def _settled(self, layer: Labels, error: WrongObject) -> Step:
        """Change the truth at an error; returns how to take that back."""
        from napari_histoaug.segmentation import Outcome

        comparing = self.controller.comparing
        result = comparing.result
        assert result is not None
        pair, name = result.pair, comparing.class_name
        value = pair.classes.index(name) + 1
        invented = error.kind == Outcome.FALSE_POSITIVE
        source = pair.prediction if invented else pair.truth
        view = view_of(layer)
        if view is None:
            truth = comparing.truth
            assert truth is not None
            side = side_of(truth, result.slide_layer, None, name)
            assert isinstance(side, LabelSide)
            mask = object_pixels(source, error.found, value)
            return paint(layer, side, pair.grid, error.found, mask, value if invented else 0)
        before = AnnotationStep(view, layer)
        shape = object_polygon(source, pair.grid, error.found, value)
        (accept if invented else drop)(view, shape, name)
        rebuild(view, layer)
        return before

    def _edited(self) -> None:
        self.controller.comparing.truth_edited()
        self.controller.changed.emit()
