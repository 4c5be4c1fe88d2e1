"""The command that finds vessels on a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_histoaug.cli.files import output_folder
from napari_histoaug.cli.plainly import plainly
from napari_histoaug.cli.progress import StepLine


@plainly
def segment(
    slide: Annotated[
        str, typer.Argument(metavar="SLIDE", help="Whole-slide image, or an OME-Zarr address.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    model: Annotated[
        str | None, typer.Option(help="Segmenter: name or folder; the bundled one by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    mpp: Annotated[
        float | None, typer.Option(min=0.01, help="Micrometres per pixel, if the file is silent.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows a network call.")] = 8,
    least_area: Annotated[
        float, typer.Option(min=0, help="Smallest outline, in square micrometres.")
    ] = 0.0,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Look where there is no tissue, too.")
    ] = False,
) -> None:
    """Find vessels on a slide: probabilities as OME-Zarr, outlines for QuPath; resumes."""
    from napari_histoaug.slides import open_slide

    with open_slide(slide, mpp=mpp) as opened, output_folder(out):
        from napari_histoaug.segmentation import load_segmenter
        from napari_histoaug.segmentation.many_slides import find_on_slide, write_outlines

        segmenter = load_segmenter(model, device)
        if opened.mpp is None:
            typer.echo(f"The slide states no pixel size; {segmenter.mpp[0]} µm is taken.", err=True)
        progress = StepLine(0, 1)
        store = find_on_slide(
            segmenter, opened, out / "prediction.zarr", tissue=not everywhere, batch=batch,
            progress=progress,
        )  # fmt: skip
        progress.end()
        notes = write_outlines(store, opened, out / "prediction.geojson", least_area)
        if failed := store.facts["failed_tiles"]:
            notes.append(f"{len(failed)} tiles of the slide could not be read; nothing is there.")
        for note in notes:
            typer.echo(note, err=True)
    typer.echo(f"See {out / 'prediction.zarr'} and {out / 'prediction.geojson'}")
