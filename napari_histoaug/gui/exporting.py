"""What leaves the window: one order at a time, off the main thread, with what lies on the slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.annotation_view import view_of
from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks, JobHandle
from napari_histoaug.gui.session import SlideSession

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable, Document
    from napari_histoaug.exports import Order
    from napari_histoaug.gui.controller import Controller

EXPORTING = "exporting"
PAIR = "pair"

WAYS = {
    PAIR: ("Pair of the last edit", "Image and mask (PNG) and a row in manifest.csv."),
    "pairs": ("Pairs of all edits", "Image and mask (PNG) of every accepted edit."),
    "patches": ("Patches and masks", "Patches with their masks and a manifest, as a data set."),
    "outlines": ("Outlines for QuPath", "Annotations and painted masks as GeoJSON."),
    "labels": ("Label image (OME-Zarr)", "Annotations and painted masks as a label image."),
    "ome-tiff": (
        "Slide with edits (OME-TIFF)",
        "A new file with the accepted edits in it, without loss, marked as synthetic.",
    ),
    "ome-zarr": (
        "Slide with edits (OME-Zarr)",
        "The same as OME-Zarr, with the generated pixels as a label image.",
    ),
    "journal-json": ("Journal (JSON)", "Every edit that was ever accepted, and the undos."),
    "journal-csv": ("Journal (CSV)", "Every edit that was ever accepted, one row each."),
}
"""What can be exported: its name in the panel, and a sentence."""

_OF_EDITS = (PAIR, "pairs", "ome-tiff", "ome-zarr", "journal-json", "journal-csv")


@dataclass
class ExportSettings:
    """What to export; the fields after ``way`` are for patches. ``mpp`` 0 means level 0."""

    way: str = PAIR
    form: str = "png"
    around: str = "edits"
    size: int = 256
    stride: int = 128
    mpp: float = 0.0


class Exporting:
    """What *Export* does, for the slide the controller works on."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.settings = ExportSettings()

    @property
    def running(self) -> bool:
        """The running job exports something (and can be cancelled)."""
        job = self._controller.job
        return job is not None and job.name == EXPORTING

    def choose(self, way: str) -> None:
        """Choose what to export."""
        self.settings.way = way
        self._controller.changed.emit()

    def why_not(self) -> str | None:
        """Why *Export* cannot be clicked, or None."""
        controller = self._controller
        reason = controller.why_not.ready()
        session = controller.session
        bare = session is not None and not session.edits.edits
        if reason is None and bare and self.settings.way in _OF_EDITS:
            reason = "There is no accepted edit to export: accept a proposal first."
        if reason is None and not controller.folder.strip():
            reason = "Choose a folder to export to."
        return reason

    def run(self) -> None:
        """Export what is chosen to the controller's folder."""
        if self.settings.way == PAIR:
            self._controller.export_pair()
        else:
            self._run(self._controller)

    @staticmethod
    @explained
    def _run(controller: Controller) -> None:
        from napari_histoaug.exports import Kind
        from napari_histoaug.exports.kinds import UNITS

        exporting = controller.exporting
        controller.refuse(exporting.why_not())
        session = controller.session
        assert session is not None
        order = exporting.order(session)
        controller.start(
            EXPORTING,
            lambda handle: _export(handle, session, order),
            JobCallbacks(
                done=lambda paths: show_info(_written(paths)),
                failed=lambda error: controller.tell(str(error), show_error),
            ),
            unit=UNITS.get(Kind(exporting.settings.way), "step"),
        )

    def order(self, session: SlideSession) -> Order:
        """What is chosen, with the annotations that lie on the slide at this moment.

        Raises
        ------
        HistoaugError
            When annotations are shown that are too large to be written again.
        """
        from napari_histoaug.exports import Kind, Order, PatchOrder

        settings = self.settings
        document = annotations_on(session, self._controller.viewer.layers)
        folder = Path(self._controller.folder.strip()).expanduser()
        patches = PatchOrder(
            form=settings.form,
            around=settings.around,
            size=settings.size,
            stride=settings.stride,
            mpp=settings.mpp or None,
        )
        classes = with_classes_of(self._controller.classes, document)
        return Order(Kind(settings.way), folder, classes, document, patches)


def annotations_on(session: SlideSession, layers: Any) -> Document | None:
    """The annotations shown on a slide, those of several files as one; None when there are none.

    Raises
    ------
    HistoaugError
        When a file is too large to be written again.
    """
    from napari_histoaug.annotations import Document

    views = [view for layer in layers if (view := view_of(layer)) and view.session is session]
    documents: list[Document] = []
    for view in views:
        if view.document is None:
            name = view.path.name if view.path else "These annotations"
            raise HistoaugError(
                f"{name} is too large to be exported from here; hide or remove that layer, and "
                "use histoaug export --annotations."
            )
        documents.append(view.document)
    if not documents:
        return None
    together = Document.from_features([f for document in documents for f in document.features])
    together.frame = documents[0].frame
    return together


def with_classes_of(classes: ClassTable, document: Document | None) -> ClassTable:
    """The table, followed by the classes of the annotations that it does not know."""
    from napari_histoaug.annotations import ClassTable

    names = document.class_counts() if document is not None else {}
    new = sorted(name for name in names if name and classes.find(name) is None)
    if not new:
        return classes
    extended = ClassTable.from_names([*classes.names, *new]).classes[-len(new) :]
    return ClassTable(classes=(*classes.classes, *extended))


def _export(handle: JobHandle, session: SlideSession, order: Order) -> list[Path]:
    from napari_histoaug.exports import export

    handle.say("Hashing the slide…")
    session.slide.sha256(handle.cancelled)
    handle.say("Exporting…")
    handle.clock.restart()
    return export(
        session.slide,
        session.edits,
        order,
        progress=handle.progress,
        cancelled=handle.cancelled,
    )


def _written(paths: list[Path]) -> str:
    if len(paths) == 1:
        return f"Written: {paths[0]}."
    return f"{len(paths)} pairs were written to {paths[0].parent}."
