"""Correcting the truth from its comparison: accepting what was found, dropping what is none.

The truth has to be annotations that can be edited. Every step can be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely
from napari.utils.notifications import show_info

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_desk import AnnotationDesk
from napari_histoaug.gui.annotation_editing import take_out
from napari_histoaug.gui.annotation_view import AnnotationView, rebuild, view_of
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.sides import object_polygon

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_histoaug.annotations import Document, Feature
    from napari_histoaug.gui.compare_desk import CompareDesk
    from napari_histoaug.segmentation.error_list import WrongObject

MOST_STEPS = 100
INSIDE = 0.5  # share of an outline that must lie in an error for it to go with it
NOT_EDITABLE = (
    "Only annotations can be corrected here: open the truth as GeoJSON onto the slide and choose "
    "its layer."
)


class Snapshot:
    """A document as it was: its features and what each of them held.

    Features are changed by putting new values into them, so a flat copy of each is enough.
    """

    def __init__(self, view: AnnotationView, layer: Labels) -> None:
        assert view.document is not None
        self.view, self.layer = view, layer
        self._document: Document = view.document
        self._top = list(view.document.features)
        self._held: list[tuple[Feature, dict[str, Any]]] = [
            (feature, dict(feature)) for feature in view.document.walk()
        ]

    def restore(self) -> None:
        """Make the document what it was, and show it."""
        self._document.features[:] = self._top
        for feature, held in self._held:
            feature.clear()
            feature.update(held)
        rebuild(self.view, self.layer)


class Correcting:
    """Changes the annotations that are the truth of a comparison.

    Attributes
    ----------
    annotations : AnnotationDesk
        Editing of outlines as shapes, for *Correct*.
    """

    def __init__(self, desk: CompareDesk) -> None:
        self.controller = desk
        self.annotations = AnnotationDesk(desk.viewer)
        self._before: list[Snapshot] = []
        self._editing: Snapshot | None = None

    # ---- what stands in the way ----------------------------------------------------------------

    @property
    def is_editing(self) -> bool:
        """Outlines of the truth are shapes now."""
        return self._editing is not None and self.annotations.is_editing

    def why_not(self) -> str | None:
        """Why the truth cannot be corrected at the current error, or None."""
        comparing = self.controller.comparing
        reason = comparing.why_not_errors() or self.controller.why_not_busy()
        if reason is None and comparing.current_error is None:
            reason = "Go to an error first: click it in the list."
        if reason is None and self.is_editing:
            reason = "Outlines are being corrected: keep or discard them first."
        return reason or self._why_not_editable()

    def _why_not_editable(self) -> str | None:
        view = view_of(self._layer)
        return NOT_EDITABLE if view is None or view.document is None else None

    def why_not_undo(self) -> str | None:
        """Why nothing can be taken back, or None."""
        if self.is_editing:
            return "Outlines are being corrected: keep or discard them first."
        if not self._before:
            return "Nothing was corrected yet."
        return self.controller.why_not_busy()

    @property
    def _layer(self) -> Labels | None:
        truth = self.controller.comparing.settings.truth
        layer: Any = truth.layer if truth is not None else None
        return layer if view_of(layer) is not None else None

    # ---- correcting ----------------------------------------------------------------------------

    @explained
    def settle(self) -> None:
        """Let the prediction be right: what was invented becomes truth, what was missed goes."""
        from napari_histoaug.segmentation import Outcome

        desk = self.controller
        desk.refuse(self.why_not())
        view, layer, error = self._needed()
        before = Snapshot(view, layer)
        if error.kind == Outcome.FALSE_POSITIVE:
            self._accept(view, error)
        else:
            self._drop(view, error)
        self._keep(before)
        said = "is truth now" if error.kind == Outcome.FALSE_POSITIVE else "was taken away"
        desk.tell(f"The outline {said}; Undo takes that back.", show_info)

    @explained
    def correct(self) -> None:
        """Turn the outlines of the truth around the current error into shapes to edit."""
        desk = self.controller
        desk.refuse(self.why_not())
        view, layer, _ = self._needed()
        assert desk.comparing.current is not None
        desk.comparing.fly_to(desk.comparing.current)
        self._editing = Snapshot(view, layer)
        desk.viewer.layers.selection.active = layer
        self.annotations.set_new_class(desk.comparing.class_name)
        self.annotations.edit()
        if not self.annotations.is_editing:
            self._editing = None
            desk.refuse(self.annotations.sentence)
        desk.changed.emit()

    def keep(self) -> None:
        """Put the corrected outlines into the truth."""
        before, self._editing = self._editing, None
        self.annotations.keep()
        if before is not None:
            self._keep(before)

    def discard(self) -> None:
        """Leave the truth as it was."""
        self._editing = None
        self.annotations.discard()
        self.controller.changed.emit()

    @explained
    def undo(self) -> None:
        """Take the last correction back."""
        self.controller.refuse(self.why_not_undo())
        self._before.pop().restore()
        self._edited()

    def close(self) -> None:
        """Let go of the viewer."""
        self.annotations.close()

    def _needed(self) -> tuple[AnnotationView, Labels, WrongObject]:
        layer, error = self._layer, self.controller.comparing.current_error
        view = view_of(layer)
        if layer is None or view is None or view.document is None or error is None:
            raise HistoaugError(NOT_EDITABLE)
        return view, layer, error

    def _accept(self, view: AnnotationView, error: WrongObject) -> None:
        from napari_histoaug.annotations import ClassTable, Feature

        assert view.document is not None
        comparing = self.controller.comparing
        name = comparing.class_name
        shape = self._outline(error, view.document)
        colors = {shown.name: shown.color for shown in view.picture.classes}
        color = colors.get(name) or ClassTable.from_names([name]).color_of(name)
        view.document.features.append(Feature.new(shape, name, color))

    def _drop(self, view: AnnotationView, error: WrongObject) -> None:
        document, name = view.document, self.controller.comparing.class_name
        assert document is not None
        shape = self._outline(error, document)
        inside = [
            feature
            for feature in document.walk()
            if feature.class_name == name and _share_inside(feature.geometry, shape) > INSIDE
        ]
        if not inside:
            raise HistoaugError(
                "No outline lies there by itself; click Correct and change it by hand."
            )
        for feature in inside:
            take_out(document, feature)

    def _outline(self, error: WrongObject, document: Document) -> Any:
        """The outline of an error in the document's own coordinates."""
        from napari_histoaug.segmentation import Outcome

        result = self.controller.comparing.result
        assert result is not None
        pair, name = result.pair, self.controller.comparing.class_name
        source = pair.prediction if error.kind == Outcome.FALSE_POSITIVE else pair.truth
        shape = object_polygon(source, pair.grid, error.found, pair.classes.index(name) + 1)
        frame = document.frame
        return shapely.transform(shape, lambda at: at - (frame.dx, frame.dy))

    def _keep(self, before: Snapshot) -> None:
        rebuild(before.view, before.layer)
        self._before = [*self._before, before][-MOST_STEPS:]
        self._edited()

    def _edited(self) -> None:
        self.controller.comparing.truth_edited()
        self.controller.changed.emit()


def _share_inside(shape: Any, error: Any) -> float:
    """Which share of an outline lies inside an error."""
    if not shape.intersects(error):
        return 0.0
    valid = shapely.make_valid(shape)
    return float(valid.intersection(error).area / valid.area) if valid.area else 0.0
