"""Everything that can be exported of a slide, by name; one door for the window and the command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from napari_histoaug.annotations import ClassTable, Document
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.errors import Cancelled as Stopped
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.flat import flatten_to_tiff, flatten_to_zarr
from napari_histoaug.exports.journal import export_journal
from napari_histoaug.exports.outlines import export_label_image, export_outlines
from napari_histoaug.exports.patches import PatchOrder, export_patches
from napari_histoaug.exports.whole import Cancelled, Progress, never, nobody
from napari_histoaug.patches import PairRow, export_pair
from napari_histoaug.patches.painted import check_known, said_by
from napari_histoaug.slides import Slide


class Kind(StrEnum):
    """What is exported."""

    PAIRS = "pairs"
    PATCHES = "patches"
    OUTLINES = "outlines"
    LABELS = "labels"
    OME_TIFF = "ome-tiff"
    OME_ZARR = "ome-zarr"
    JOURNAL_JSON = "journal-json"
    JOURNAL_CSV = "journal-csv"


UNITS = {
    Kind.PAIRS: "pair",
    Kind.PATCHES: "part",
    Kind.LABELS: "block",
    Kind.OME_TIFF: "block",
    Kind.OME_ZARR: "block",
}
"""What the progress of a kind counts."""


class Order(NamedTuple):
    """What is wanted.

    Attributes
    ----------
    kind : Kind
    folder : Path
        Where it goes; what is written there is named by the slide's salted id.
    classes : ClassTable
    annotations : Document or None
        Placed on the slide.
    patches : PatchOrder
    """

    kind: Kind
    folder: Path
    classes: ClassTable
    annotations: Document | None = None
    patches: PatchOrder = PatchOrder()


def export(
    slide: Slide,
    store: EditStore,
    order: Order,
    *,
    progress: Progress = nobody,
    cancelled: Cancelled = never,
) -> list[Path]:
    """Export one kind of thing; returns what was written.

    Parameters
    ----------
    slide : Slide
    store : EditStore
    order : Order
    progress, cancelled : callable, optional
        In the unit of :data:`UNITS`.

    Raises
    ------
    HistoaugError
        One sentence, when it cannot be exported.
    Cancelled
        When `cancelled` said so.
    """
    store.settle()
    kind, folder = order.kind, order.folder.expanduser()
    name = slide.slide_id()
    watch: dict[str, Any] = {"progress": progress, "cancelled": cancelled}
    drawn = order.annotations
    if kind is Kind.PAIRS:
        return _pairs(slide, store, folder, order.classes, progress, cancelled)
    if kind is Kind.PATCHES:
        check_known(store, order.classes)
        place = free_folder(folder, f"{name}-patches")
        return [export_patches(slide, place, order.classes, order.patches, drawn, **watch)]
    if kind is Kind.OUTLINES:
        path = folder / f"{name}.geojson"
        return [export_outlines(slide, store, path, order.classes, drawn)]
    if kind is Kind.LABELS:
        path = folder / f"{name}-labels.ome.zarr"
        return [export_label_image(slide, store, path, order.classes, drawn, **watch)]
    if kind is Kind.OME_TIFF:
        return [flatten_to_tiff(slide, store, folder / f"{name}-synthetic.ome.tif", **watch)]
    if kind is Kind.OME_ZARR:
        return [flatten_to_zarr(slide, store, folder / f"{name}-synthetic.ome.zarr", **watch)]
    ending = "csv" if kind is Kind.JOURNAL_CSV else "json"
    return [export_journal(slide, store, folder / f"{name}-journal.{ending}")]


def pair_of(
    slide: Slide, store: EditStore, edit: EditRecord, folder: Path, classes: ClassTable
) -> Path:
    """Write the image and mask pair of one edit; returns the image."""
    row = PairRow.from_edit(edit, slide.slide_id(), float(store.synthetic(*edit.box).mean()))
    mask = said_by(store, edit, classes).values
    return export_pair(folder, store.read_block(slide, *edit.box), mask, row)


def free_folder(parent: Path, stem: str) -> Path:
    """Return the first of ``stem-0001``, ``stem-0002``, ... that does not exist."""
    number = 1
    while (parent / f"{stem}-{number:04d}").exists():
        number += 1
    return parent / f"{stem}-{number:04d}"


def _pairs(
    slide: Slide,
    store: EditStore,
    folder: Path,
    classes: ClassTable,
    progress: Progress,
    cancelled: Cancelled,
) -> list[Path]:
    edits = store.edits
    if not edits:
        raise ExportError(
            f"{slide.path.name} has no accepted edit; accept one in napari or with "
            "histoaug inpaint --accept."
        )
    written: list[Path] = []
    check_known(store, classes)
    for edit in edits:
        if cancelled():
            raise Stopped(f"Cancelled after {len(written)} of {len(edits)} pairs.")
        written.append(pair_of(slide, store, edit, folder, classes))
        progress(len(written), len(edits))
    return written
