"""The command that lets things out of a slide: pairs, patches, outlines, whole slides, journals."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histoaug.cli.plainly import plainly
from napari_histoaug.cli.progress import StepLine

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable, Document
    from napari_histoaug.slides import Slide


class What(StrEnum):
    """What is exported; the names of :class:`napari_histoaug.exports.Kind`."""

    PAIRS = "pairs"
    PATCHES = "patches"
    OUTLINES = "outlines"
    LABELS = "labels"
    OME_TIFF = "ome-tiff"
    OME_ZARR = "ome-zarr"
    JOURNAL_JSON = "journal-json"
    JOURNAL_CSV = "journal-csv"


class Form(StrEnum):
    """How patches are written; tar is a WebDataset."""

    PNG = "png"
    ZARR = "zarr"
    TAR = "tar"


class Around(StrEnum):
    """Which patches."""

    EDITS = "edits"
    SLIDE = "slide"


@plainly
def export(
    slide: Annotated[str, typer.Argument(metavar="SLIDE", help="Whole-slide image.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    what: Annotated[
        What, typer.Option(help="Pairs of edits, patches, outlines, the slide with its edits, ...")
    ] = What.PAIRS,
    classes: Annotated[
        str, typer.Option(help="Class table for the mask values: breast, heart or a YAML file.")
    ] = "breast",
    annotations: Annotated[
        Path | None, typer.Option(help="GeoJSON: for patches, outlines and labels.")
    ] = None,
    frame: Annotated[
        str | None, typer.Option(help="What the annotations count from: slide or bounds.")
    ] = None,
    form: Annotated[Form, typer.Option(help="How patches are written.")] = Form.PNG,
    around: Annotated[Around, typer.Option(help="Which patches.")] = Around.EDITS,
    size: Annotated[int, typer.Option(min=8, max=4096, help="Side of a patch, pixels.")] = 256,
    stride: Annotated[int, typer.Option(min=1, help="Step between patches, pixels.")] = 128,
    patch_mpp: Annotated[
        float | None, typer.Option(min=0.01, max=20, help="µm a pixel of patches; level 0 if left.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(min=0.01, help="Micrometres per pixel, if the file lacks it.")
    ] = None,
) -> None:
    """Export what a slide holds beside its pixels: edits, masks, patches, the journal."""
    from napari_histoaug.edits import EditStore
    from napari_histoaug.exports import Kind, Order, PatchOrder
    from napari_histoaug.exports import export as write
    from napari_histoaug.slides import open_slide

    table = class_table(classes)
    with open_slide(slide, mpp=mpp) as opened:
        drawn = None if annotations is None else _document(annotations, opened, frame)
        patches = PatchOrder(
            form=form.value, around=around.value, size=size, stride=stride, mpp=patch_mpp
        )
        order = Order(Kind(what.value), out, table, drawn, patches)
        line = StepLine(0, 1)
        written = write(opened, EditStore.open(opened), order, progress=line)
        line.end()
    for path in written:
        typer.echo(str(path))


def class_table(name: str) -> ClassTable:
    """A packaged class table, or one from a YAML file."""
    from napari_histoaug.annotations import ClassTable

    if name.lower().endswith((".yaml", ".yml")):
        return ClassTable.from_yaml(name)
    return ClassTable.preset(name)


def _document(path: Path, slide: Slide, frame: str | None) -> Document:
    from napari_histoaug.cli.outlines import placed_document

    return placed_document(path, slide, frame, None, False)
