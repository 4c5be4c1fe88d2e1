"""Comparing truth and prediction in the window: the order, the figures, the errors one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from psygnal import Signal

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import comparing_work as work
from napari_histoaug.gui.choices import FOUND, Choice, layer_choices, side_of
from napari_histoaug.gui.error_layer import ErrorLayer
from napari_histoaug.gui.geometry import origin_of
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks
from napari_histoaug.gui.segmenters import missing, no_torch
from napari_histoaug.gui.session import session_of
from napari_histoaug.gui.sides import FoundSide, OutlineSide, PairOrder, renamed, source_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histoaug.gui.compare_desk import CompareDesk
    from napari_histoaug.gui.session import SlideSession
    from napari_histoaug.segmentation.compare import Pair
    from napari_histoaug.segmentation.error_list import WrongObject

COMPARING, EXPORTING = "comparing", "writing the comparison"
FILLS = 0.35  # share of the view that an error fills when it is flown to
WIDEST = 600.0  # micrometres of tissue that are seen around a small error at most
AGAIN_AT_ONCE = 6e7
"""Grids of fewer pixels are compared again after every correction."""


@dataclass
class CompareSettings:
    """What is compared and how; ``classes`` in the order of their values, empty: as files say."""

    truth: Choice | None = None
    prediction: Choice | None = None
    classes: str = ""
    complete: bool = False
    least_iou: float = 0.5


class Comparing:
    """What *Compare* does, for the slide the desk works on.

    Attributes
    ----------
    settings : CompareSettings
    result : work.Result or None
        The last comparison.
    truth : Choice or None
        What was the truth of it.
    stale : bool
        Something moved since then.
    class_name : str
        Whose errors are shown.
    current : int or None
        Place of the error flown to last, in :attr:`errors`.
    moved : psygnal.Signal
        The current error is another one.
    compared : psygnal.Signal
        There is a new result, or none any more.
    """

    moved = Signal()
    compared = Signal()

    def __init__(self, desk: CompareDesk) -> None:
        self.controller = desk
        self.settings = CompareSettings()
        self.files: list[Choice] = []
        self.result: work.Result | None = None
        self.truth: Choice | None = None
        self.stale = False
        self.class_name = ""
        self.current: int | None = None
        self.overlay = ErrorLayer(desk.viewer)

    # ---- choosing ------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """The running job compares (and can be cancelled)."""
        job = self.controller.job
        return job is not None and job.name == COMPARING

    def choices(self) -> list[Choice]:
        """What can be truth or prediction now."""
        return [*layer_choices(self.controller.viewer), FOUND, *self.files]

    def add_file(self, path: Path) -> Choice:
        """Offer a file, too."""
        choice = next((one for one in self.files if one.path == path), None)
        if choice is None:
            choice = Choice(path.name, path=path)
            self.files.append(choice)
        return choice

    def set(self, name: str, value: object) -> None:
        """Change a setting; what was compared before is not up to date then."""
        if getattr(self.settings, name) != value:
            setattr(self.settings, name, value)
            self.outdate()
            if name == "least_iou":
                self.compared.emit()
            self.controller.changed.emit()

    def forget_removed(self) -> None:
        """Let go of chosen layers that are not shown any more, and choose what is obvious."""
        choices = self.choices()
        for name in ("truth", "prediction"):
            chosen = getattr(self.settings, name)
            if chosen is not None and not any(one.same(chosen) for one in choices):
                setattr(self.settings, name, None)
        if self.settings.truth is None:
            outlines = (one for one in choices if one.layer is not None)
            self.settings.truth = next(outlines, None)
        if self.settings.prediction is None:
            self.settings.prediction = FOUND
        if self.result is not None and self.result.slide_layer not in self.controller.viewer.layers:
            self._drop()

    def outdate(self) -> None:
        """What was compared is not what is chosen now."""
        if self.result is not None and not self.stale:
            self.stale = True
            self.controller.changed.emit()

    # ---- comparing -----------------------------------------------------------------------------

    def why_not(self) -> str | None:
        """Why *Compare* cannot be clicked, or None."""
        desk, settings = self.controller, self.settings
        reason = no_torch() or desk.why_not_slide() or desk.why_not_busy()
        if reason is not None:
            return reason
        if settings.truth is None:
            return "No truth is chosen: open annotations onto the slide, or choose a file."
        if settings.prediction is None or settings.truth.same(settings.prediction):
            return "Truth and prediction are the same: choose another one."
        if FOUND.same(settings.truth) or desk.finding.found is not None:
            return None
        return self._why_not_find() if FOUND.same(settings.prediction) else None

    def _why_not_find(self) -> str | None:
        lacking = missing(self.controller.finding.settings.model)
        return None if lacking is None else f"Nothing was found yet. {lacking}"

    @explained
    def compare(self) -> None:
        """Compare over the whole slide, off the main thread, and show the errors.

        Where the prediction is what is found here and nothing was found yet, it is found first.
        """
        desk = self.controller
        desk.refuse(self.why_not())
        slide_layer, session = desk.needed_slide()
        find = None
        if desk.finding.found is None and FOUND.same(self.settings.prediction):
            find = desk.finding.order(slide_layer, session)
        order = None if find else self.order(slide_layer, session)
        truth, chosen = self._truth(slide_layer), self.settings.truth
        settings = work.CompareOrder(order, truth, self._classes(), self.settings, find)
        desk.start(
            COMPARING,
            lambda handle: work.compare_all(handle, settings, slide_layer),
            JobCallbacks(
                done=lambda result: self._done(result, chosen),
                failed=lambda error: desk.tell(str(error), show_error),
                cancelled=desk.finding.refresh if find else lambda: None,
                value=lambda found: desk.finding.show(found, slide_layer, always=False),
            ),
            unit="block",
        )

    def order(self, slide_layer: Image, session: SlideSession) -> PairOrder:
        """What is chosen, as it is at this moment.

        Raises
        ------
        HistoaugError
            When a layer cannot be compared; one sentence.
        """
        settings, found = self.settings, self.controller.finding.found
        if settings.truth is None or settings.prediction is None:
            raise HistoaugError("Choose a truth and a prediction first.")
        label = next(iter(self._classes()), "") or "blood_vessel"
        return PairOrder(
            self._truth(slide_layer),
            side_of(settings.prediction, slide_layer, found, label),
            self._classes(),
            settings.complete,
            session.slide,
        )

    def _truth(self, slide_layer: Image) -> Any:
        label = next(iter(self._classes()), "") or "blood_vessel"
        assert self.settings.truth is not None
        return side_of(self.settings.truth, slide_layer, self.controller.finding.found, label)

    def _classes(self) -> tuple[str, ...]:
        return tuple(n.strip() for n in self.settings.classes.split(",") if n.strip())

    def pair_now(self) -> Pair:
        """The pair compared, with what is found at the thresholds of this moment."""
        assert self.result is not None
        pair, found = self.result.pair, self.controller.finding.found
        is_found = isinstance(self.result.order.prediction, FoundSide)
        if not is_found or found is None or found.live.grid != pair.grid:
            return pair
        return replace(pair, prediction=renamed(found.source, found.live.classes, pair.classes))

    def truth_edited(self) -> None:
        """The truth's outlines were corrected: figures follow, small slides are compared again."""
        result = self.result
        if result is None:
            return
        self.outdate()
        pair, truth = result.pair, self.truth
        if pair.grid.shape[0] * pair.grid.shape[1] <= AGAIN_AT_ONCE and self.why_not() is None:
            self.compare()
        elif truth is not None and isinstance(result.order.truth, OutlineSide):
            side = side_of(truth, result.slide_layer, None, self.class_name)
            source = source_of(side, pair.classes, pair.grid, result.order)
            self.result = replace(result, pair=replace(pair, truth=source))
            self.compared.emit()

    def _done(self, result: work.Result, truth: Choice | None) -> None:
        desk = self.controller
        if result.slide_layer not in desk.viewer.layers:
            return
        if isinstance(result.order.prediction, FoundSide):
            desk.finding.refresh()
        self.result, self.truth, self.stale = result, truth, False
        if self.class_name not in result.classes:
            self.class_name = result.classes[0]
        self._show()
        if self.current is not None:
            self.current = min(self.current, len(self.errors) - 1) if self.errors else None
        self.compared.emit()
        for note in result.comparison.notes:
            desk.tell(note, show_info)
        desk.changed.emit()

    def _show(self) -> None:
        result = self.result
        session = session_of(result.slide_layer) if result is not None else None
        if result is not None and session is not None:
            grid = result.pair.grid
            self.overlay.show(result.maps, self.class_name, grid, result.slide_layer, session)

    def _drop(self) -> None:
        self.result, self.current, self.stale = None, None, False
        self.overlay.remove()
        self.compared.emit()

    # ---- looking -------------------------------------------------------------------------------

    def show_class(self, name: str) -> None:
        """Show the errors of a class."""
        if self.result is not None and name in self.result.classes and name != self.class_name:
            self.class_name, self.current = name, None
            self._show()
            self.compared.emit()
            self.controller.changed.emit()

    def look(self, name: str, value: object) -> None:
        """Change palette, opacity or contour of the overlay."""
        if getattr(self.overlay, name) != value:
            setattr(self.overlay, name, value)
            self.overlay.look()
            self.controller.changed.emit()

    @property
    def errors(self) -> Sequence[WrongObject]:
        """The wrong objects of the class shown, the largest first."""
        return () if self.result is None else self.result.errors[self.class_name]

    @property
    def current_error(self) -> WrongObject | None:
        """The error flown to last."""
        at = self.current
        return self.errors[at] if at is not None and at < len(self.errors) else None

    def why_not_errors(self) -> str | None:
        """Why one cannot go from error to error, or None."""
        if self.result is None:
            return "Nothing was compared yet: click Compare."
        return None if self.errors else "There is no wrong object."

    @explained
    def step(self, by: int) -> None:
        """Fly to the next error (1) or the one before (-1); around at the ends."""
        self.controller.refuse(self.why_not_errors())
        start = -1 if self.current is None and by > 0 else (self.current or 0)
        self.fly_to((start + by) % len(self.errors))

    def fly_to(self, at: int) -> None:
        """Bring an error into the middle of the view, with some tissue around it."""
        result = self.result
        session = session_of(result.slide_layer) if result is not None else None
        if result is None or session is None or at >= len(self.errors):
            return
        self.current = at
        viewer = self.controller.viewer
        box = result.pair.grid.level_0_box(*self.errors[at].found.box)
        origin, scale = origin_of(result.slide_layer), session.scale
        canvas = getattr(viewer, "canvas", None)
        # before napari 0.9 the viewer itself held the size
        size = viewer._canvas_size if canvas is None else canvas.size
        viewer.camera.center = tuple(
            origin[a] + (box[a] + box[a + 2] / 2) * scale[a] for a in (0, 1)
        )
        sides = [max(box[a + 2] * scale[a], FILLS * WIDEST * scale[a]) for a in (0, 1)]
        viewer.camera.zoom = min(FILLS * size[a] / sides[a] for a in (0, 1))
        self.moved.emit()

    # ---- writing -------------------------------------------------------------------------------

    def why_not_export(self) -> str | None:
        """Why nothing can be written, or None."""
        if self.result is None:
            return "Nothing was compared yet: click Compare."
        return self.controller.why_not_busy()

    @explained
    def export(self, kind: str, path: Path) -> None:
        """Write the ``table`` (CSV), a ``picture`` of the view (PNG) or a ``report`` (folder)."""
        desk, result = self.controller, self.result
        desk.refuse(self.why_not_export())
        assert result is not None
        look = self.overlay
        order = work.ExportOrder(
            result,
            self.class_name,
            desk.view_box(result.slide_layer),
            desk.figures.shown(),
            (look.palette, look.opacity, look.contour),
            self.stale,
        )
        desk.start(
            EXPORTING,
            lambda handle: work.export(handle, order, kind, path),
            JobCallbacks(
                done=lambda said: desk.tell(said, show_info),
                failed=lambda error: desk.tell(str(error), show_error),
            ),
        )
