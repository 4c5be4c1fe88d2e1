"""The state behind the annotations panel: which layer, what is hidden, what is edited.

No widgets here; see :mod:`napari_histoaug.gui.controller` for the conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui import annotation_editing as editing
from napari_histoaug.gui.annotation_reader import (
    Ask,
    Loaded,
    ask_frame,
    layer_data,
    load,
    slide_below,
)
from napari_histoaug.gui.annotation_view import AnnotationView, rebuild, view_of
from napari_histoaug.gui.geometry import intersect, origin_of, view_box
from napari_histoaug.gui.job_desk import JobDesk
from napari_histoaug.gui.jobs import JobCallbacks, JobHandle

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

NO_ANNOTATIONS = "Open a GeoJSON file first: Open, File > Open, or drop one on the window."


class AnnotationDesk(JobDesk):
    """Everything the annotations panel can do, and what stands in the way.

    Parameters
    ----------
    viewer : ViewerModel
    ask : callable, optional
        Asks the user which frame the coordinates count in; see :func:`load`.

    Attributes
    ----------
    hovered : psygnal.Signal
        What lies under the mouse: class and area, or an empty text.
    new_class : str
        The class of shapes drawn while editing.
    """

    hovered = Signal(str)

    def __init__(self, viewer: ViewerModel, ask: Ask = ask_frame) -> None:
        super().__init__()
        # napari hands plugins a proxy whose layers are never the same objects twice
        self.viewer = viewer = getattr(viewer, "__wrapped__", viewer)
        self.new_class = ""
        self._ask = ask
        self._layer: Labels | None = None
        self._editing: editing.Editing | None = None
        self._said = ""
        self._next: Callable[[], None] | None = None
        self._closed = False
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_layers)
        viewer.mouse_move_callbacks.append(self._on_move)
        self._on_layers()

    # ---- what there is -----------------------------------------------------------------------

    @property
    def layer(self) -> Labels | None:
        """The annotation layer worked on: the one selected last, else the topmost."""
        return self._layer

    @property
    def view(self) -> AnnotationView | None:
        """The annotations of :attr:`layer`."""
        return view_of(self._layer)

    @property
    def is_editing(self) -> bool:
        """Some annotations are shapes now."""
        return self._editing is not None

    def why_not_save(self) -> str | None:
        """Why nothing can be saved or edited now, or None."""
        if self.job is not None:
            return f"Busy: {self.job.name}."
        return NO_ANNOTATIONS if self.view is None else None

    def why_not_edit(self) -> str | None:
        """Why the annotations cannot be edited, or None."""
        view = self.view
        if view is not None and view.document is None:
            return "This file is too large to be edited here; edit it in QuPath."
        return self.why_not_save()

    # ---- open and save -------------------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Read a file off the main thread, then show it on the slide."""
        slide_layer = slide_below(self.viewer)
        if self._refused(f"Busy: {self.job.name}." if self.job else None):
            return
        self._load(path, slide_layer, _not_asked)

    def _load(self, path: Path, slide_layer: Image | None, ask: Ask) -> None:
        def work(handle: JobHandle) -> Loaded:
            handle.say(f"Reading {path.name}…")
            return load(
                path,
                slide_layer,
                ask,
                progress=lambda done, total: handle.progress(done >> 20, total >> 20),
                cancelled=handle.cancelled,
            )

        self.start(
            "reading annotations",
            work,
            JobCallbacks(
                done=lambda loaded: self._show(loaded, slide_layer),
                failed=lambda error: self._failed(error, path, slide_layer),
            ),
            unit="MB",
        )

    def _show(self, loaded: Loaded, slide_layer: Image | None) -> None:
        if slide_layer is not None and slide_layer not in self.viewer.layers:
            self.tell("The annotations were dropped: their slide was closed.", show_warning)
            return
        for note in loaded.notes:
            self.tell(note, show_warning)
        data, settings, _ = layer_data(loaded.view, slide_layer)
        self.viewer.add_labels(data, **settings)

    def _failed(self, error: HistoaugError, path: Path, slide_layer: Image | None) -> None:
        from napari_histoaug.annotations import FrameError

        question = error.__cause__ if isinstance(error, _Question) else None
        if not isinstance(question, FrameError):
            self.tell(str(error), show_error)
            return
        # asked here, on the main thread; the job that asked has to end first
        frame = self._ask(question)
        if frame is not None:
            self._next = lambda: self._load(path, slide_layer, lambda _: frame)

    def _ended(self) -> None:
        super()._ended()
        following, self._next = self._next, None
        if following is not None:
            following()

    def save(self, path: Path, for_qupath: bool = False) -> None:
        """Write the annotations: ``.zarr`` as an OME-Zarr label image, else as GeoJSON.

        Parameters
        ----------
        path : Path
        for_qupath : bool
            Strictly what QuPath accepts, repaired where it must be; else what was read, unchanged
            where it was not edited.
        """
        from napari_histoaug.gui.annotation_writer import write_view

        view = self.view
        if self._refused(self.why_not_save()) or view is None:
            return
        self.start(
            "writing annotations",
            lambda handle: write_view(
                view, path, for_qupath, progress=handle.progress, cancelled=handle.cancelled
            ),
            JobCallbacks(
                done=lambda said: self.tell(said, show_info),
                failed=lambda error: self.tell(str(error), show_error),
            ),
            unit="block",
        )

    # ---- show ----------------------------------------------------------------------------------

    def set_visible(self, class_name: str, visible: bool) -> None:
        """Show or hide a class."""
        view, layer = self.view, self._layer
        if view is None or layer is None:
            return
        hidden = view.picture.hidden
        (hidden.discard if visible else hidden.add)(class_name)
        view.repaint(layer)
        self.changed.emit()

    def _on_move(self, viewer: Any, event: Any) -> None:
        layer, view = self._layer, self.view
        said = ""
        if layer is not None and view is not None and layer.visible:
            # data coordinates count pixel centres, the slide's pixels their edges
            y, x = layer.world_to_data(event.position)[-2:]
            said = view.said_at(y + 0.5, x + 0.5)
        if said != self._said:
            self._said = said
            self.hovered.emit(said)

    # ---- edit ----------------------------------------------------------------------------------

    def edit(self) -> None:
        """Turn the annotations in view into shapes."""
        view, layer = self.view, self._layer
        if self._refused(self.why_not_edit()) or view is None or layer is None:
            return
        size = self.viewer.canvas.size if hasattr(self.viewer, "canvas") else (800, 600)
        origin = origin_of(layer)
        centre = tuple(c - o for c, o in zip(self.viewer.camera.center[-2:], origin, strict=True))
        box = view_box(centre, self.viewer.camera.zoom, size, view.scale)
        box = intersect(box, (0, 0, *view.shape)) or (0, 0, 1, 1)
        try:
            self._editing = editing.begin(self.viewer, view, box, self.new_class, origin)
        except HistoaugError as error:
            self.tell(str(error), show_warning)
        self.changed.emit()

    def set_new_class(self, name: str) -> None:
        """Choose the class of shapes drawn from now on."""
        self.new_class = name
        if self._editing is not None and self.view is not None:
            editing.draw_as(self._editing.layer, self.view, name)
        self.changed.emit()

    def keep(self) -> None:
        """Put the edited shapes back into the annotations, and show them again."""
        current, view, layer = self._editing, self.view, self._layer
        self._editing = None
        if current is None or view is None or layer is None or view.document is None:
            return
        colors = {shown.name: shown.color for shown in view.picture.classes}
        if editing.finish(current, view.document, colors):
            rebuild(view, layer)
        self._remove(current)

    def discard(self) -> None:
        """Leave the annotations as they were."""
        current, self._editing = self._editing, None
        if current is not None:
            self._remove(current)

    def _remove(self, current: editing.Editing) -> None:
        if current.layer in self.viewer.layers:
            self.viewer.layers.remove(current.layer)
        self.changed.emit()

    # ---- life ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the job and let go of the viewer. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self.viewer.layers.events.inserted.disconnect(self._on_layers)
        self.viewer.layers.events.removed.disconnect(self._on_layers)
        self.viewer.layers.selection.events.active.disconnect(self._on_layers)
        self.viewer.mouse_move_callbacks.remove(self._on_move)

    def _on_layers(self, event: Any = None) -> None:
        shown = [layer for layer in self.viewer.layers if view_of(layer) is not None]
        active = self.viewer.layers.selection.active
        if active in shown:
            self._layer = active
        elif self._layer not in shown:
            self._layer = shown[-1] if shown else None
        if self._editing is not None and self._editing.layer not in self.viewer.layers:
            self._editing = None
        view = self.view
        names = [shown_class.name for shown_class in view.picture.classes] if view else []
        if self.new_class not in names:
            self.new_class = names[0] if names else ""
        self.changed.emit()

    def _refused(self, reason: str | None) -> bool:
        if reason is not None:
            self.tell(reason, show_warning)
        return reason is not None


class _Question(HistoaugError):
    """Something only the user knows, met off the main thread."""


def _not_asked(error: Any) -> str | None:
    raise _Question(str(error)) from error
