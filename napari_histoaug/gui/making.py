"""Generating: what is asked, how long it will take, the run, and every outline at once."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error, show_info, show_warning

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import work
from napari_histoaug.gui.annotation_view import view_of
from napari_histoaug.gui.batch import BatchTask
from napari_histoaug.gui.canvas import current_view
from napari_histoaug.gui.engine import Engine
from napari_histoaug.gui.geometry import LARGEST, Box, intersect
from napari_histoaug.gui.holes import PlannedHole, plan_holes
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks
from napari_histoaug.gui.label_source import LabelSource, annotated
from napari_histoaug.gui.outlines import chosen, polygon_of
from napari_histoaug.gui.proposal import Proposal
from napari_histoaug.gui.timing import Timing

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histoaug.annotations import Document
    from napari_histoaug.edits import EditRecord
    from napari_histoaug.gui.controller import Controller
    from napari_histoaug.gui.painting import Drawn
    from napari_histoaug.gui.session import SlideSession

GENERATING, BATCH = "generating", "filling the outlines"
SEEDS = 2**31


class Making:
    """What the panel *Generate* does, for the slide the controller works on.

    Attributes
    ----------
    engine : Engine
    timing : Timing
        How long an evaluation takes here.
    """

    def __init__(self, controller: Controller, engine: Engine) -> None:
        self.controller = controller
        self.engine = engine
        self.timing = Timing(controller, engine)
        self._used = range(0)
        self._number = 0
        self._counted: tuple[Document | None, int, Counter[str | None]] = None, 0, Counter()

    @property
    def running(self) -> bool:
        """The running job makes tissue (and can be cancelled)."""
        job = self.controller.job
        return job is not None and job.name in (GENERATING, BATCH)

    # ---- one click -----------------------------------------------------------------------------

    @explained
    def run(self) -> None:
        """Make what the settings say; the result becomes the proposal. A waiting one is dropped."""
        controller = self.controller
        slide_layer, session = controller.needed_slide()
        controller.refuse(controller.why_not.run())
        settings = replace(controller.settings)
        if settings.purpose == "synthesise":
            plans, drawn = self._region(slide_layer, session)
        else:
            drawn = [controller.painting.snapshot(slide_layer, controller.label_value)]
            plans = plan_holes(drawn[0].drawings, session.shape, session.slide.mpp)
        settings.seed = self._next_seed(len(plans))
        controller.reviewing.drop()
        self._number += 1
        kept = controller.reviewing.result_layer(slide_layer, session)
        proposal = Proposal(controller.viewer, session, drawn, self._number, kept)
        labels = self._labels(slide_layer, session)
        controller.start(
            GENERATING,
            work.GenerateTask(session, plans, settings, controller.shelf, self.engine, labels),
            JobCallbacks(
                done=lambda variants: self._proposed(proposal, variants),
                failed=lambda error: self._failed(proposal, error),
                cancelled=proposal.remove,
                value=lambda preview: self._preview(proposal, preview),
            ),
        )

    @explained
    def another(self) -> None:
        """Drop the proposal and make another one with a seed not used for it."""
        self.controller.refuse(self.controller.why_not.review())
        self.controller.settings.seed = self._used.stop
        self.run()

    def roll(self) -> None:
        """Draw another seed."""
        self.controller.settings.seed = secrets.randbelow(SEEDS)
        self.controller.changed.emit()

    def _next_seed(self, holes: int) -> int:
        """The seed of the coming run; drawn anew when the last run took it and it is not kept."""
        settings = self.controller.settings
        if settings.seed in self._used and not settings.keep_seed:
            settings.seed = secrets.randbelow(SEEDS)
        self._used = range(settings.seed, settings.seed + holes * settings.variants)
        return settings.seed

    def _preview(self, proposal: Proposal, preview: work.Preview) -> None:
        if proposal.slide_layer in self.controller.viewer.layers:
            proposal.show(preview.box, preview.image, preview.shown)

    def _proposed(self, proposal: Proposal, variants: list[list[work.Part]]) -> None:
        controller = self.controller
        if proposal.slide_layer not in controller.viewer.layers:
            proposal.remove()
            controller.tell(
                "The result was dropped because its slide was closed in the meantime.", show_warning
            )
            return
        proposal.show_variants(variants)
        controller.proposal = proposal
        controller.reviewing.show()
        controller.learn_classes()
        if proposal.notes:
            controller.tell(" ".join(proposal.notes), show_info)

    def _failed(self, proposal: Proposal, error: HistoaugError) -> None:
        proposal.remove()
        self.controller.tell(str(error), show_error)

    # ---- what is drawn -------------------------------------------------------------------------

    def _labels(self, slide_layer: Image, session: SlideSession) -> LabelSource:
        """What is said of the slide's classes now, by annotations and by paint."""
        controller = self.controller
        classes, painting = controller.classes, controller.painting
        drawings = {}
        for value in range(1, len(classes.names) + 1):
            drawn = painting.snapshot(slide_layer, value)
            # outlines have no class of their own: they are the holes
            strokes = len(drawn.drawings) - bool(drawn.outline_indices)
            drawings[value] = drawn.drawings[:strokes]
        return LabelSource(classes, self._documents(session), drawings)

    def _documents(self, session: SlideSession) -> list[Document]:
        views = [view_of(layer) for layer in self.controller.viewer.layers]
        return [v.document for v in views if v and v.session is session and v.document is not None]

    def _region(
        self, slide_layer: Image, session: SlideSession
    ) -> tuple[list[PlannedHole], list[Drawn]]:
        """The rectangle to synthesise, and the strokes in it."""
        controller = self.controller
        box = self._rectangle(slide_layer) or current_view(controller.viewer, slide_layer, session)
        inside = intersect(box, (0, 0, *session.shape))
        if inside is None:
            raise HistoaugError("The rectangle lies outside the slide: draw one on it.")
        if max(inside[2:]) > LARGEST:
            raise HistoaugError(
                f"The region is {max(inside[2:])} pixels long at full resolution, more than the "
                f"{LARGEST} that fit: zoom in, or draw a smaller rectangle as outline."
            )
        if min(inside[2:]) < 32:
            raise HistoaugError("The region is smaller than 32 pixels: draw a larger rectangle.")
        values = range(1, len(controller.classes.names) + 1)
        drawn = [controller.painting.snapshot(slide_layer, value) for value in values]
        return [PlannedHole(inside, np.ones(inside[2:], bool))], drawn

    def _rectangle(self, slide_layer: Image) -> Box | None:
        """The rectangle drawn last as an outline, of the selected or unused ones."""
        layer = self.controller.painting.outlines_of(slide_layer)
        if layer is None:
            return None
        found = [i for i in chosen(layer) if layer.shape_type[i] == "rectangle"]
        if not found:
            return None
        corners = polygon_of(layer.data[found[-1]], "rectangle")
        low, high = np.floor(corners.min(0) + 0.5), np.ceil(corners.max(0) + 0.5)
        y, x, height, width = (int(v) for v in (*low, *(high - low)))
        return y, x, height, width

    # ---- every outline -------------------------------------------------------------------------

    @property
    def has_annotations(self) -> bool:
        """Annotations lie on the slide."""
        session = self.controller.session
        return session is not None and bool(self._documents(session))

    def count_annotated(self) -> int:
        """Annotated outlines of the chosen class on the slide."""
        session, label = self.controller.session, self.controller.settings.label
        if session is None:
            return 0
        return sum(self._counts(document)[label] for document in self._documents(session))

    def _counts(self, document: Document) -> Counter[str | None]:
        """Counted once, since panels ask at every change; again when outlines come or go."""
        counted, features, counts = self._counted
        if counted is not document or features != len(document.features):
            counts = document.class_counts()
            self._counted = document, len(document.features), counts
        return counts

    @explained
    def fill_annotated(self) -> None:
        """Fill every annotated outline of the chosen class; each result is accepted at once."""
        controller = self.controller
        _, session = controller.needed_slide()
        controller.refuse(controller.why_not.batch())
        settings = replace(controller.settings)
        documents = self._documents(session)
        drawings = [annotated(document, settings.label) for document in documents]
        settings.seed = self._next_seed(self.count_annotated())
        task = BatchTask(
            work.GenerateTask(
                session,
                (),
                settings,
                controller.shelf,
                replace(self.engine, judge=None),  # nobody looks before they are accepted
                LabelSource(controller.classes, documents, {}),
            ),
            partial(plan_holes, drawings, session.shape, session.slide.mpp),
        )
        controller.reviewing.drop()
        controller.start(
            BATCH,
            task,
            JobCallbacks(
                done=lambda kept: self._filled(session, kept),
                failed=lambda error: self._stopped(session, task.kept, error),
                cancelled=lambda: self._filled(session, task.kept),
            ),
            unit="hole",
        )

    def _filled(self, session: SlideSession, kept: Sequence[EditRecord]) -> None:
        self.controller.reviewing.show_edits(session, [record.box for record in kept])
        if kept:
            count = len(kept)
            said = "One place was" if count == 1 else f"{count} places were"
            self.controller.tell(f"{said} filled and accepted; Undo takes them back.", show_info)

    def _stopped(
        self, session: SlideSession, kept: Sequence[EditRecord], error: HistoaugError
    ) -> None:
        self._filled(session, kept)
        self.controller.tell(str(error), show_error)
