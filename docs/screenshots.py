"""Take the pictures of the user guide from the real window, and the README's animation.

Run under a display or a virtual one, with the bundled network::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py [--out docs/images]

``--compare FIELD TRUTH`` takes the pictures of *Find and compare* instead: a JPEG field of 0.5 µm a
pixel that is outlined completely, and its outlines.

Slide (the public sample), place, outline and seeds are fixed, so that the same versions make the
same pictures but for the seconds they show.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import QBuffer, QIODevice
from qtpy.QtWidgets import QWidget

from napari_histoaug.gui import demo_journey as demo
from napari_histoaug.gui.demo_journey import Journey
from napari_histoaug.slides.samples import fetch_sample

if TYPE_CHECKING:
    import napari

    from napari_histoaug.gui.compare_desk import CompareDesk

SIZE = (1480, 940)
FRAMES_WIDE = 900
STROKES = 6
FORMING = 6  # frames while the tissue forms
LEFT = 0.245  # of the window: napari's own layer list, not in the film


def main() -> None:
    """Make the journey once in each theme; the dark one is also filmed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--panels", type=Path, help="folder for a picture of every panel")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("FIELD", "TRUTH"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.compare is not None:
        for theme, ending in (("dark", ""), ("light", "-light")):
            take_comparison(*options.compare, options.out, theme, ending)
        return
    take(options.out, "dark", "", options.panels)
    if options.panels is not None:
        take(options.panels, "light", "-light", options.panels)


def take(out: Path, theme: str, ending: str, panels: Path | None) -> None:
    """Make the journey in one theme and take its pictures."""
    import napari

    with tempfile.TemporaryDirectory() as place:
        slide = Path(shutil.copy(fetch_sample(), place))
        viewer = napari.Viewer(title="napari", show=True)
        viewer.theme = theme
        viewer.window.resize(*SIZE)
        _, widget = viewer.window.add_plugin_dock_widget(demo.PLUGIN, demo.WIDGET)
        journey = Journey(viewer, widget, Path(place))
        film: list[Image.Image] = []
        try:
            widget.controller.settings.keep_seed = True
            demo.open_slide_layer(journey, slide)
            settle(journey)
            save(picture(viewer.window._qt_window), out / f"open{ending}.jpg")
            paint(journey, film)
            save(picture(viewer.window._qt_window), out / f"painted{ending}.jpg")
            generate(journey, film)
            save(picture(viewer.window._qt_window), out / f"window{ending}.jpg")
            if panels is not None:
                panels.mkdir(parents=True, exist_ok=True)
                take_panels(journey, panels, ending)
            keep(journey, film)
            if panels is not None:
                take_rest(journey, panels, ending)
        finally:
            viewer.close()
    if theme == "dark":
        animate(film, out / "vessel.webp")


def take_comparison(field: Path, truth: Path, out: Path, theme: str, ending: str) -> None:
    """Find the vessels of a field, compare them with its outlines, and go to an error."""
    import napari

    from napari_histoaug.gui.annotation_reader import ask_frame, layer_data, load
    from napari_histoaug.gui.reader import slide_layer

    with tempfile.TemporaryDirectory() as place:
        slide = as_slide(field, Path(place) / "slide.tif")
        viewer = napari.Viewer(title="napari", show=True)
        viewer.theme = theme
        viewer.window.resize(*SIZE)
        _, widget = viewer.window.add_plugin_dock_widget(demo.PLUGIN, "Find and compare")
        desk = widget.desk
        try:
            arrays, settings, _ = slide_layer(slide)
            layer = viewer.add_image(arrays, **settings)
            data, settings, _ = layer_data(load(truth, layer, ask_frame).view, layer)
            viewer.add_labels(data, **settings).visible = False
            viewer.layers.selection.active = layer
            viewer.reset_view()
            desk.finding.set("scope", "slide")
            desk.comparing.set("complete", True)
            widget.find_panel.run_button.click()
            while desk.finding.found is None or desk.finding.found.live.looked_at.sum() < 2:
                demo.live(0.1)
            grab(viewer, out / f"finding{ending}.jpg")
            wait_for(desk)
            widget.compare_panel.run_button.click()
            wait_for(desk)
            for shown in desk.finding.found.layers:
                shown.visible = False
            grab(viewer, out / f"compared{ending}.jpg")
            bar = widget.verticalScrollBar()
            bar.setValue(bar.maximum())
            widget.error_panel.next_button.click()
            wait_for(desk)
            grab(viewer, out / f"error{ending}.jpg")
        finally:
            viewer.close()


def as_slide(field: Path, path: Path) -> Path:
    """Write a picture of 0.5 µm a pixel as a pyramid that can be opened as a slide."""
    import tifffile

    pixels = np.asarray(Image.open(field).convert("RGB"))
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 2, 4):
            writer.write(
                pixels[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(step > 1),
                resolution=(20000, 20000),
                resolutionunit="CENTIMETER",
            )
    return path


def wait_for(desk: CompareDesk) -> None:
    """Let the window live until nothing runs or is counted."""
    demo.live(0.5)
    while desk.busy or desk.figures.counting:
        demo.live(0.1)


def grab(viewer: napari.Viewer, path: Path) -> None:
    """Take the window as a small picture, without bubbles over it."""
    demo.close_notifications(viewer)
    notification_manager.records.clear()
    demo.live(0.5)
    save(picture(viewer.window._qt_window), path)


def paint(journey: Journey, film: list[Image.Image]) -> None:
    """Paint the demo's vessel stroke by stroke."""
    journey.click("Paint here")
    canvas = journey.widget.controller.painting.canvas
    outline = demo.outlined(journey, demo.VENULE)
    settle(journey)
    rows, columns = np.nonzero(outline)
    film.append(frame(journey))
    # from left to right, as a brush would
    borders = np.quantile(columns, np.linspace(0, 1, STROKES + 1)[1:])
    for border in borders:
        part = columns <= border
        label = canvas.layer.selected_label
        canvas.layer.data_setitem((rows[part], columns[part]), label)
        settle(journey)
        film.append(frame(journey))


def generate(journey: Journey, film: list[Image.Image]) -> None:
    """Inpaint, and film what forms."""
    controller = journey.widget.controller
    journey.widget.generate_panel.run_button.click()
    seen, forming = 0, []

    def ready() -> bool:
        nonlocal seen
        seen += 1
        if seen % 10 == 0 and controller.proposal is None:
            forming.append(frame(journey))
        return controller.proposal is not None

    journey.wait(ready, "Inpaint vessel")
    chosen = np.linspace(0, len(forming) - 1, FORMING).round().astype(int)
    film += [forming[index] for index in sorted(set(chosen))]
    settle(journey)
    film.append(frame(journey))


def keep(journey: Journey, film: list[Image.Image]) -> None:
    """Accept, and go to another layer so that no tool is in the hand."""
    journey.click("Accept")
    journey.wait(lambda: bool(journey.session.edits.edits), "Accept")
    journey.viewer.layers.selection.active = journey.slide_layer
    settle(journey)
    film.append(frame(journey))


def take_panels(journey: Journey, out: Path, ending: str) -> None:
    """Every panel by itself, as it looks while there is a proposal."""
    widget = journey.widget
    for name in ("slide", "paint", "generate", "review"):
        save(picture(getattr(widget, f"{name}_panel")), out / f"panel-{name}{ending}.png")


def take_rest(journey: Journey, out: Path, ending: str) -> None:
    """What is unfolded or filled only later: options, patches, the list of edits, the keys."""
    widget = journey.widget
    widget.export_panel.way_box.setCurrentIndex(2)
    widget.controller.exporting.choose("patches")
    widget.controller.set_folder("pairs")
    for panel in (widget.paint_panel, widget.generate_panel):
        panel.advanced.expand(animate=False)
    settle(journey)
    for name in ("export", "paint", "generate"):
        save(picture(getattr(widget, f"{name}_panel")), out / f"unfolded-{name}{ending}.png")
    save(picture(widget.review_panel), out / f"panel-journal{ending}.png")
    save(picture(journey.viewer.window._qt_window), out / f"unfolded{ending}.jpg")
    save(picture(widget.show_keys()), out / f"keys{ending}.png")


def settle(journey: Journey) -> None:
    """Let the window come to rest, without bubbles over it."""
    demo.live(0.6)
    demo.close_notifications(journey.viewer)
    notification_manager.records.clear()
    demo.live(0.3)


def frame(journey: Journey) -> Image.Image:
    """The window, small."""
    image = picture(journey.viewer.window._qt_window)
    image = image.crop((round(LEFT * image.width), 24, image.width, image.height - 24))
    height = round(image.height * FRAMES_WIDE / image.width)
    return image.resize((FRAMES_WIDE, height), Image.Resampling.LANCZOS)


def picture(widget: QWidget) -> Image.Image:
    """What a widget shows, as it would be printed."""
    import io

    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    widget.grab().save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")


def save(image: Image.Image, path: Path) -> None:
    """Write a picture as its name says; tissue as JPEG, without coarser colours for the text."""
    options = {"quality": 88, "subsampling": 0} if path.suffix == ".jpg" else {}
    image.save(path, optimize=True, **options)


def animate(film: list[Image.Image], path: Path) -> None:
    """Write the frames as an animated WebP: the strokes, the tissue forming, and time to look."""
    forming = len(film) - STROKES - 3
    durations = [1500, *[300] * (STROKES - 1), 1200, *[500] * forming, 2500, 2500]
    film[0].save(
        path,
        save_all=True,
        append_images=film[1:],
        duration=durations,
        loop=0,
        quality=80,
        method=6,
    )


if __name__ == "__main__":
    main()
