"""The commands themselves: options in, sentences and exit codes out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histoaug.cli.data_set import extract, leakage
from napari_histoaug.cli.exporting import class_table, export
from napari_histoaug.cli.files import output_folder
from napari_histoaug.cli.finding import segment
from napari_histoaug.cli.model import model_app
from napari_histoaug.cli.plainly import plainly
from napari_histoaug.cli.progress import StepLine
from napari_histoaug.cli.training import generate, train_app
from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    import shapely

    from napari_histoaug.cli.filling import Filling
    from napari_histoaug.generation import Generator

app = typer.Typer(
    help="Paint blood vessels into whole-slide images: diffusion inpainting for histopathology.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could carry file names and pixels into a bug report.
    pretty_exceptions_enable=False,
)
app.add_typer(model_app, name="model")
app.add_typer(train_app, name="train")
for _command in (extract, leakage, generate, segment, export):
    app.command()(_command)


class Preset(StrEnum):
    """Ways of filling a hole, with all their settings."""

    PAPER = "paper"
    FAST = "fast"
    TURBO = "turbo"
    DRAFT = "draft"


class WholePreset(StrEnum):
    """Those that also make whole tissue."""

    TURBO = "turbo"
    DRAFT = "draft"


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
Compile = Annotated[
    bool, typer.Option("--compile", help="Let torch.compile translate the network first.")
]
FromClass = Annotated[
    str, typer.Option("--class", help="Which outlines, when the file has several classes.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Sampler steps; the model's own if left.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")]
PixelSize = Annotated[
    float | None, typer.Option(min=0.01, help="Micrometres per pixel, if the file does not say.")
]
Donors = Annotated[
    Path | None,
    typer.Option(
        help="Folder of donors (histoaug donors) to start from; bundled: the packaged vessels."
    ),
]
Strength = Annotated[
    float, typer.Option(min=0.01, max=1, help="How far a donor is noised: 1 forgets it.")
]
Frame = Annotated[
    str | None,
    typer.Option(help="What the outlines count from, when it is unclear: slide or bounds."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Text encoding of the GeoJSON file, when not UTF-8.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave broken features out instead of stopping.")
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
    from_class: FromClass = "blood_vessel",
    method: Annotated[Method, typer.Option()] = Method.PIXEL_TIME,
    preset: Annotated[
        Preset | None, typer.Option(help="A method with all its settings, instead of --method.")
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    mpp: PixelSize = None,
    donors: Donors = None,
    strength: Strength = 0.25,
    compiled: Compile = False,
    accept: Annotated[
        bool, typer.Option("--accept/--no-accept", help="Keep the result beside the slide.")
    ] = False,
    frame: Frame = None,
    encoding: Encoding = None,
    skip_bad: SkipBad = False,
) -> None:
    """Fill every outline of a GeoJSON file with tissue; write before, after and hole."""
    from napari_histoaug.annotations import connected_areas
    from napari_histoaug.cli.outlines import placed_document
    from napari_histoaug.edits import EditStore
    from napari_histoaug.slides import open_slide

    with open_slide(slide, mpp=mpp) as opened:
        shape = opened.levels[0].shape
        document = placed_document(mask, opened, frame, encoding, skip_bad)
        areas = connected_areas(document, from_class, shape, mask)
        store = EditStore.open(opened)
        from napari_histoaug.cli.filling import Filling, write_fills

        with output_folder(out):
            from napari_histoaug.generation.donors import BUNDLED, read_donors

            folder = BUNDLED if donors == Path("bundled") else donors
            bank = read_donors(folder) if folder else []
            generator = _load(model, device, compiled)
            if opened.mpp is None:
                y, x = generator.mpp
                typer.echo(f"The slide states no pixel size; {y} x {x} µm is taken.", err=True)
            way = str(preset or method)
            work = Filling(opened, store, generator, label, way, steps, bank, strength)
            _fill_all(work, areas, seed, mask.name)
            if accept:
                work.accept()
            write_fills(out, work, accepted=accept)
    typer.echo(f"{len(work.fills)} filled; see {out}")


def _fill_all(work: Filling, areas: Sequence[shapely.Polygon], seed: int, name: str) -> None:
    """Fill the areas of a file of that name, one after the other."""
    for index, area in enumerate(areas):
        # Two vessels of one file shall not be twins.
        _say(work.fill(area, seed + index, StepLine(index, len(areas))))
    if not work.fills:
        raise HistoaugError(f"The outlines of {name} are smaller than a pixel; draw larger ones.")


@app.command()
@plainly
def synthesize(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="PNG of class values, OME-Zarr or GeoJSON.")
    ],
    out: OutFolder,
    preset: Annotated[WholePreset | None, typer.Option(help="turbo or draft.")] = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = "auto",
    mpp: PixelSize = None,
    compiled: Compile = False,
) -> None:
    """Make tissue of any size from a label map (0 background, 1 the first class, ...)."""
    with output_folder(out):
        from napari_histoaug.cli.label_maps import read_label_map
        from napari_histoaug.cli.synthesis import TIFF, ZARR, write_synthesis
        from napari_histoaug.generation import synthesize

        if not labels.exists():
            raise HistoaugError(f"There is no label map {labels}; check the path.")
        generator = _load(model, device, compiled)
        given = read_label_map(labels, generator.classes)
        size = (mpp, mpp) if mpp else given.mpp or (generator.mpp[0], generator.mpp[1])
        progress = StepLine(0, 1)
        method = str(preset or Method.PIXEL_TIME)
        result = synthesize(
            generator, given.values, size, steps, seed, method=method, progress=progress
        )
        progress.end()
        _say(result.notes)
        write_synthesis(out, generator, given, size, result)
    typer.echo(f"See {out / 'image.png'}, {ZARR} and {TIFF}")


@app.command()
@plainly
def donors(
    slide: SlidePath,
    mask: Annotated[Path, typer.Option(help="GeoJSON file with outlines of real vessels.")],
    out: OutFolder,
    from_class: FromClass = "blood_vessel",
    mpp: PixelSize = None,
    frame: Frame = None,
    encoding: Encoding = None,
    skip_bad: SkipBad = False,
) -> None:
    """Cut outlined vessels out of a slide, to start inpainting from them."""
    from napari_histoaug.annotations import connected_areas
    from napari_histoaug.cli.outlines import placed_document
    from napari_histoaug.slides import open_slide

    with open_slide(slide, mpp=mpp) as opened, output_folder(out):
        from napari_histoaug.cli.filling import cut_donors

        shape = opened.levels[0].shape
        document = placed_document(mask, opened, frame, encoding, skip_bad)
        areas = connected_areas(document, from_class, shape, mask)
        kept = cut_donors(opened, areas, out)
        if not kept:
            raise HistoaugError(
                f"The outlines of {mask.name} are too small, or cut by the slide's border; "
                "outline other vessels."
            )
    typer.echo(f"{kept} donors; see {out}")


@app.command("annotations")
@plainly
def describe_annotations(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="GeoJSON file, packed or not.")],
    slide: Annotated[str | None, typer.Option(help="Compare it with this slide.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Compare with a class table: breast, heart or a YAML file.")
    ] = None,
    frame: Frame = None,
    encoding: Encoding = None,
) -> None:
    """Say what a GeoJSON file holds: classes, broken features, what lies outside the slide."""
    from napari_histoaug.annotations import AnnotationIndex, place_on
    from napari_histoaug.cli.outlines import findings
    from napari_histoaug.slides import open_slide

    index = AnnotationIndex.from_file(file, encoding=encoding)
    for line in findings(index):
        typer.echo(line)
    if slide is not None:
        with open_slide(slide) as opened:
            placement = place_on(index, opened, frame, source=file.name)
        typer.echo(placement.sentence or "All polygons lie inside the slide.")
        typer.echo(f"Coordinates count from the corner of the {placement.frame.name}.")
    if classes is not None:
        class_table(classes).check(index.class_counts(), file.name)
    broken = [problem for problem in index.problems if not problem.kept]
    if broken:
        raise HistoaugError(f"{len(broken)} features of {file.name} are broken.")


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


def _load(model: str | None, device: str, compiled: bool) -> Generator:
    from napari_histoaug.generation import load_generator

    if compiled:
        return load_generator(model, device, compiled=True)
    return load_generator(model, device)


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(note, err=True)
