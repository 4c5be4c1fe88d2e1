"""The state behind the panels: which slide, which canvas, which proposal, which job.

No widgets here. The panels call the actions (*paint_here*, *run*, *accept*, ...), read the
properties and the sentences of ``why_not``, and listen to two signals. Every action is made to be
called on the main thread and explains a :class:`HistoaugError` in a napari notification.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning

from napari_histoaug.gui import whereabouts, work
from napari_histoaug.gui.actions import Keys
from napari_histoaug.gui.arrangement import arrange, show_scale_bar
from napari_histoaug.gui.canvas import PaintCanvas
from napari_histoaug.gui.engine import Engine
from napari_histoaug.gui.exporting import Exporting
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks
from napari_histoaug.gui.making import Making
from napari_histoaug.gui.overview import Overview
from napari_histoaug.gui.painting import Painting
from napari_histoaug.gui.proposal import Proposal
from napari_histoaug.gui.reasons import Reasons
from napari_histoaug.gui.reviewing import Reviewing
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.slide_desk import SlideDesk
from napari_histoaug.gui.synthetic_mark import SyntheticMark
from napari_histoaug.gui.tasks import Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.annotations import ClassTable


class Controller(SlideDesk):
    """Everything the user can do, and what stands in the way.

    Parameters
    ----------
    viewer : ViewerModel
        The napari viewer.
    inpaint, load_generator : callable, optional
        Stand-ins for those of :mod:`napari_histoaug.generation`; give both or none.
    engine : Engine, optional
        What makes tissue, in place of both.
    classes : ClassTable, optional
        The classes that can be painted; the packaged breast table (one class) when not given.

    Attributes
    ----------
    settings : Settings
        How to generate.
    folder : str
        Where *Export pair* writes.
    why_not : Reasons
        Why an action is not possible now.
    overview : Overview
        The coarse levels that the slide's file lacks, and making them.
    making : Making
        Generating.
    reviewing : Reviewing
        Looking at proposals, accepting, undoing.
    mark : SyntheticMark
        The warning over generated pixels.
    exporting : Exporting
        What is exported besides single pairs.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        inpaint: Callable[..., Any] | None = None,
        load_generator: work.LoadGenerator | None = None,
        engine: Engine | None = None,
        classes: ClassTable | None = None,
    ) -> None:
        from napari_histoaug.annotations import ClassTable

        super().__init__(viewer)
        viewer = self.viewer
        self.classes = classes or ClassTable.preset("breast")
        self.settings = Settings(label=self.classes.names[0])
        self.folder = ""
        self.proposal: Proposal | None = None
        if engine is None and inpaint is not None and load_generator is not None:
            engine = Engine.of(load_generator, inpaint)
        engine = engine or Engine.packaged()
        self.shelf = work.GeneratorShelf(engine.load_generator)
        self.painting = Painting(viewer, lambda sentence: self.tell(sentence, show_warning))
        self.painting.changed.connect(self.changed.emit)
        self.why_not: Reasons = Reasons(self)
        self.overview = Overview(self)
        self.making: Making = Making(self, engine)
        self.reviewing: Reviewing = Reviewing(self)
        self.mark = SyntheticMark(self)
        self.exporting: Exporting = Exporting(self)
        self._keys = Keys(self)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        self._pick_slide()
        if self._slide_layer is not None:
            show_scale_bar(viewer)
        for layer in self.slide_layers:
            self._await_edits(layer)

    # ---- slide -------------------------------------------------------------------------------

    @property
    def slide_layers(self) -> list[Image]:
        """The layers of the viewer that show a slide."""
        return [layer for layer in self.viewer.layers if session_of(layer) is not None]

    @property
    def slide_layer(self) -> Image | None:
        """The layer worked on."""
        return self._slide_layer

    @slide_layer.setter
    def slide_layer(self, layer: Image | None) -> None:
        if layer is self._slide_layer:
            return
        self._slide_layer = layer
        self._use_slide()
        self.changed.emit()

    # ---- paint -------------------------------------------------------------------------------

    @property
    def canvas(self) -> PaintCanvas | None:
        """The canvas of the slide worked on, or None before *Paint here*."""
        return self.painting.canvas

    @property
    def label_value(self) -> int:
        """Class value of the class to paint."""
        return self.classes.value_of(self.settings.label)

    def set_label(self, name: str) -> None:
        """Choose the class to paint and to generate."""
        self.settings.label = name
        if self.canvas is not None:
            self.canvas.layer.selected_label = self.label_value
        self.changed.emit()

    @explained
    def paint_here(self) -> None:
        """Put the canvas over the view and take the brush."""
        slide_layer, session = self.needed_slide()
        self.painting.paint_here(slide_layer, session, self.classes, self.label_value)
        self._get_ready(slide_layer, session)
        self.making.timing.start()
        self.changed.emit()

    @explained
    def draw_outlines(self) -> None:
        """Go to the outline layer of the slide, made when there is none, to draw polygons."""
        slide_layer, session = self.needed_slide()
        color = self.classes.color_of(self.settings.label)
        self.painting.draw_outlines(slide_layer, session, color)
        self._get_ready(slide_layer, session)
        self.making.timing.start()
        self.changed.emit()

    def _get_ready(self, slide_layer: Image, session: SlideSession) -> None:
        """Make what a result needs now, while nobody waits for one."""
        self.reviewing.result_layer(slide_layer, session)
        self.mark.warm_up()

    # ---- generate ------------------------------------------------------------------------------

    @property
    def generating(self) -> bool:
        """The running job fills holes (and can be cancelled)."""
        return self.making.running

    def device_said(self) -> str:
        """Where the network runs, such as ``GPU (cuda)``; what was asked for until it is loaded."""
        device = self.shelf.device or self.settings.device
        if device == "cpu":
            return "CPU"
        return "" if device == "auto" else f"GPU ({device})"

    def learn_classes(self) -> None:
        """Offer the classes of the loaded network beside those of the table."""
        from napari_histoaug.annotations import ClassTable

        new = [name for name in self.shelf.classes if name not in self.classes]
        if new:
            extended = ClassTable.from_names([*self.classes.names, *new]).classes[-len(new) :]
            self.classes = ClassTable(classes=(*self.classes.classes, *extended))

    # ---- export ------------------------------------------------------------------------------

    def set_folder(self, folder: str) -> None:
        """Choose where *Export pair* writes."""
        self.folder = folder
        self.changed.emit()

    @explained
    def export_pair(self) -> None:
        """Write the last accepted edit as image, mask and manifest row to :attr:`folder`."""
        self.refuse(self.why_not.export())
        _, session = self.needed_slide()
        folder = Path(self.folder.strip()).expanduser()
        classes = self.classes
        self.start(
            "exporting",
            lambda handle: work.export(handle, session, folder, classes),
            JobCallbacks(
                done=lambda path: show_info(f"The pair was written to {path.parent}."),
                failed=lambda error: self.tell(str(error), show_error),
            ),
        )

    # ---- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the job, wait for its thread, and let go of the viewer. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self._remember_views()
        self._keys.close()
        self.painting.close()
        self.making.timing.close()
        self.mark.close()
        self.reviewing.close()
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)

    def _remember_views(self) -> None:
        layer, session = self._slide_layer, self.session
        if layer is not None and session is not None:
            whereabouts.remember(session, whereabouts.current(self.viewer, layer))

    def go_back(self) -> None:
        """Look at the slide as when it was closed."""
        layer, view = self._slide_layer, self.last_view
        if layer is not None and view is not None:
            whereabouts.go_to(self.viewer, layer, view)

    @property
    def last_view(self) -> whereabouts.View | None:
        """How the slide was looked at when it was closed; None when it is new here."""
        return None if self.session is None else whereabouts.remembered(self.session)

    def _on_inserted(self, event: Any) -> None:
        if session_of(event.value) is not None:
            arrange(self.viewer, event.value)
            self._await_edits(event.value)
        self._pick_slide()
        self.changed.emit()

    def _await_edits(self, layer: Image) -> None:
        session = session_of(layer)
        if session is not None and session.settling is not None:
            session.found.connect(self._on_found, unique=True)

    def _on_found(self) -> None:
        self.changed.emit()

    def _on_removed(self, event: Any = None) -> None:
        self.painting.forget_removed()
        if self.proposal is not None:
            if self.proposal.slide_layer not in self.viewer.layers:
                self.reviewing.drop()
            elif not self.proposal.layers:
                self.proposal = None
        self._pick_slide()
        self.changed.emit()

    def _on_active(self, event: Any = None) -> None:
        """The selected layer decides: a slide, or the slide and strokes of a canvas."""
        active = self.viewer.layers.selection.active
        if session_of(active) is not None:
            self.slide_layer = active
        canvas = self.painting.canvas_of(active)
        if canvas is not None:
            self.slide_layer = canvas.slide_layer
            self.changed.emit()

    def _pick_slide(self) -> None:
        slides = self.slide_layers
        if self._slide_layer not in slides:
            self._slide_layer = slides[-1] if slides else None
            self._use_slide()

    def _use_slide(self) -> None:
        """Work on the chosen slide, with what was painted on it earlier in view."""
        self.reviewing.leave()
        layer, session = self._slide_layer, self.session
        self.painting.use_slide(layer)
        if layer is not None and session is not None:
            self.painting.show_earlier(layer, session, self.classes)
