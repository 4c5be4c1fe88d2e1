"""The commands themselves: options in, sentences and exit codes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histoaug.cli.files import output_folder, read_labels, save, save_png
from napari_histoaug.cli.model import model_app
from napari_histoaug.cli.plainly import plainly
from napari_histoaug.cli.progress import StepLine
from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable

app = typer.Typer(
    help="Paint blood vessels into whole-slide images: diffusion inpainting for histopathology.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could carry file names and pixels into a bug report.
    pretty_exceptions_enable=False,
)
app.add_typer(model_app, name="model")


class Method(StrEnum):
    """How a hole is filled."""

    PIXEL_TIME = "pixel-time"
    REPAINT = "repaint"
    LANGEVIN = "langevin"


SlidePath = Annotated[
    str, typer.Argument(metavar="SLIDE", help="Whole-slide image, or address of an OME-Zarr one.")
]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
Model = Annotated[str | None, typer.Option(help="Name or folder; the bundled one by default.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Sampler steps; the model's own if left.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")]
PixelSize = Annotated[
    float | None, typer.Option(min=0.01, help="Micrometres per pixel, if the file does not say.")
]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for bad input, 130 when interrupted."""
    try:
        app(args=arguments, prog_name="histoaug")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


@app.command()
@plainly
def demo(out: OutFolder = Path("demo-output")) -> None:
    """Open the sample slide ready to paint; without a display, make the whole journey."""
    from napari_histoaug.gui.demo import run_demo

    run_demo(out)


@app.command()
@plainly
def view(
    slide: SlidePath,
    show_label: Annotated[
        bool, typer.Option("--show-label", help="Show the label image too; it is never saved.")
    ] = False,
) -> None:
    """Open a slide in napari, ready to paint."""
    from napari_histoaug.gui.launch import view

    view(slide, show_label)


@app.command()
@plainly
def info(
    slide: SlidePath,
    whole: Annotated[
        bool, typer.Option("--id", help="Read the whole file for its id, however large it is.")
    ] = False,
) -> None:
    """Say what is in a slide: format, levels, pixel size, accepted edits."""
    from napari_histoaug.cli.facts import facts
    from napari_histoaug.slides import open_slide

    with open_slide(slide) as opened:
        for name, fact in facts(opened, whole):
            typer.echo(f"{name:<12}{fact}")


@app.command()
@plainly
def inpaint(
    slide: SlidePath,
    mask: Annotated[Path, typer.Option(help="GeoJSON file with the outlines to fill.")],
    out: OutFolder,
    label: Annotated[str, typer.Option(help="What to paint.")] = "blood_vessel",
    from_class: Annotated[
        str, typer.Option("--class", help="Which outlines, when the file has several classes.")
    ] = "blood_vessel",
    method: Annotated[Method, typer.Option()] = Method.PIXEL_TIME,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    mpp: PixelSize = None,
    accept: Annotated[
        bool, typer.Option("--accept/--no-accept", help="Keep the result beside the slide.")
    ] = False,
) -> None:
    """Fill every outline of a GeoJSON file with tissue; write before, after and hole."""
    from napari_histoaug.annotations import connected_areas, read_geojson
    from napari_histoaug.edits import EditStore
    from napari_histoaug.slides import open_slide

    with open_slide(slide, mpp=mpp) as opened:
        shape = opened.levels[0].shape
        areas = connected_areas(read_geojson(mask), from_class, shape, mask)
        store = EditStore.open(opened)
        from napari_histoaug.cli.filling import Filling, write_fills

        with output_folder(out):
            from napari_histoaug.generation import load_generator

            generator = load_generator(model, device)
            if opened.mpp is None:
                y, x = generator.mpp
                typer.echo(f"The slide states no pixel size; {y} x {x} µm is taken.", err=True)
            work = Filling(opened, store, generator, label, str(method), steps)
            for index, area in enumerate(areas):
                # Two vessels of one file shall not be twins.
                work.fill(area, seed + index, StepLine(index, len(areas)))
            if not work.fills:
                raise HistoaugError(
                    f"The outlines of {mask.name} are smaller than a pixel; draw larger ones."
                )
            if accept:
                work.accept()
            write_fills(out, work, accepted=accept)
    typer.echo(f"{len(work.fills)} filled; see {out}")


@app.command()
@plainly
def synthesize(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="PNG of class values.")],
    out: OutFolder,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    mpp: PixelSize = None,
) -> None:
    """Make a whole patch of tissue from a label map (0 background, 1 the first class, ...)."""
    mask = read_labels(labels)
    with output_folder(out):
        from napari_histoaug.edits.versions import versions
        from napari_histoaug.generation import load_generator, synthesize

        generator = load_generator(model, device)
        size = (mpp, mpp) if mpp else None
        progress = StepLine(0, 1)
        result = synthesize(generator, mask, size, steps, seed, progress=progress)
        progress.end()
        save_png(out / "image.png", result.image)
        save_png(out / "labels.png", mask)
        summary = {
            "model": generator.name,
            "model_sha256": generator.sha256,
            "classes": list(generator.classes),
            "mpp": size or tuple(generator.mpp),
            "seed": seed,
            "evaluations": result.evaluations,
            "seconds": round(result.seconds, 3),
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "complete": True,
        }
        save(out / "summary.json", json.dumps(summary, indent=2).encode())
    typer.echo(f"See {out / 'image.png'}")


@app.command()
@plainly
def export(
    slide: SlidePath,
    out: OutFolder,
    classes: Annotated[
        str, typer.Option(help="Class table for the mask values: breast, heart or a YAML file.")
    ] = "breast",
) -> None:
    """Export every accepted edit of a slide as an image and mask pair with a manifest row."""
    from napari_histoaug.edits import EditStore
    from napari_histoaug.patches import PairRow, export_pair
    from napari_histoaug.slides import open_slide

    table = _class_table(classes)
    with open_slide(slide) as opened:
        store = EditStore.open(opened)
        if not store.edits:
            raise HistoaugError(
                f"{opened.path.name} has no accepted edit; accept one in napari or with "
                "histoaug inpaint --accept."
            )
        values = [table.value_of(edit.label) for edit in store.edits]
        for edit, value in zip(store.edits, values, strict=True):
            synthetic = store.synthetic(*edit.box)
            image = store.read_block(opened, *edit.box)
            mask = store.painted(edit).astype("uint8") * value
            row = PairRow.from_edit(edit, opened.slide_id(), float(synthetic.mean()))
            typer.echo(str(export_pair(out, image, mask, row)))


@app.command()
@plainly
def doctor() -> None:
    """Say what works on this machine, one line each."""
    from napari_histoaug.cli.doctor import CHECKS

    for name, check in CHECKS.items():
        try:
            finding = check()
        except (ImportError, OSError, RuntimeError, ValueError, HistoaugError) as error:
            finding = f"does not work: {str(error).splitlines()[0] if str(error) else type(error)}"
        typer.echo(f"{name:<9} {finding}")


def _class_table(name: str) -> ClassTable:
    from napari_histoaug.annotations import ClassTable

    if name.lower().endswith((".yaml", ".yml")):
        return ClassTable.from_yaml(name)
    return ClassTable.preset(name)
