"""``make demo`` and ``histoaug demo``: the first light on a real slide.

With a display, napari opens the sample slide with the panels, ready to paint. Without one, the
same journey is made under Xvfb through the real widgets and written to a folder.
``make demo-full`` makes a whole session in that way, with a display on the display.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.demo_page import DemoError, prepare_folder
from napari_histoaug.slides.samples import fetch_sample

if TYPE_CHECKING:
    from napari_histoaug.gui.demo_journey import Journey

DEFAULT_OUT = Path("demo-output")
DRIVEN, FULL = "--driven", "--full"
SENTENCE = "histoaug demo: "
"""Marks the sentence of a failed journey among what Qt and OpenGL write."""
MODULE = "napari_histoaug.gui.demo"
SCREEN = "-screen 0 1600x1000x24"
WINDOW_SIZE = (1560, 960)


def run_demo(out: Path = DEFAULT_OUT, full: bool = False) -> None:
    """Show the demo on the display, or make its journey on a virtual one.

    Parameters
    ----------
    out
        Folder for a copy of the slide, its edits and, without a display, the results. What an
        earlier demo left there is removed.
    full
        Make the whole session, on the display or a virtual one.

    Raises
    ------
    HistoaugError
        One sentence, when the demo cannot run.
    """
    out = Path(out)
    if not has_display():
        run_on_virtual_screen(out, full)
    elif full:
        _say(f"The demo's page: {drive_demo(out, full).resolve()}")
    else:
        show(out)


def has_display() -> bool:
    """Whether windows can be seen: always on Windows and macOS, else where a server is named."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(out: Path) -> None:
    """Open the slide in napari, a canvas placed over tissue, and leave the rest to the user."""
    import napari

    from napari_histoaug.gui.demo_journey import open_slide_layer

    slide = prepare_folder(out, fetch_sample(progress=_say))
    journey = _open_viewer(out)
    open_slide_layer(journey, slide)
    journey.click("Paint here")
    _say("Paint a vessel with the mouse, then click Inpaint vessel.")
    napari.run()


def drive_demo(out: Path, full: bool = False) -> Path:
    """Make the journey, or the whole session, on the current display and return the page."""
    from napari_histoaug.gui.demo_full import drive_session
    from napari_histoaug.gui.demo_journey import drive

    seconds: dict[str, float] = {}
    start = time.perf_counter()
    slide = prepare_folder(out, fetch_sample(progress=_say))
    seconds["fetch the slide"] = round(time.perf_counter() - start, 3)
    start = time.perf_counter()
    journey = _open_viewer(out)
    seconds["open napari"] = round(time.perf_counter() - start, 3)
    journey.seconds = seconds
    if full:
        page = drive_session(journey, slide, lambda: _open_viewer(out))
    else:
        try:
            page = drive(journey, slide)
        finally:
            journey.viewer.close()
    for step, took in seconds.items():
        _say(f"{step:26s}{took:7.1f} s")
    _say(f"{'all together':26s}{sum(seconds.values()):7.1f} s")
    return page


def run_on_virtual_screen(out: Path, full: bool = False) -> None:
    """Run this module again under Xvfb and hand on its error sentence.

    Raises
    ------
    DemoError
        When there is no Xvfb, or the journey failed.
    """
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        raise DemoError(
            "There is no display and no virtual one: install xvfb and xauth, or set DISPLAY."
        )
    _say("There is no display: the demo runs on a virtual screen.")
    command = [xvfb, "-a", "-s", SCREEN, sys.executable, "-m", MODULE]
    environment = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM"}
    done = subprocess.run(
        [*command, DRIVEN, *([FULL] if full else []), str(out)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        raise DemoError(done.stderr.rpartition(SENTENCE)[2].partition("\n")[0])
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise DemoError(f"The demo broke off (exit code {done.returncode}): see the lines above.")


def main(arguments: list[str] | None = None) -> int:
    """Entry of ``python -m napari_histoaug.gui.demo [--full] [OUT]``; 2 after a sentence."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    driven, full = DRIVEN in words, FULL in words
    places = [Path(word) for word in words if word not in (DRIVEN, FULL)]
    out = places[0] if places else DEFAULT_OUT
    try:
        if driven:
            _say(f"The demo's page: {drive_demo(out, full).resolve()}")
        else:
            run_demo(out, full)
    except HistoaugError as error:
        sys.stderr.write(f"{SENTENCE if driven else ''}{error}\n")
        return 2
    return 0


def _open_viewer(out: Path) -> Journey:
    """A napari window with the plugin's panels."""
    import napari

    from napari_histoaug.gui.demo_journey import PLUGIN, WIDGET, Journey

    viewer = napari.Viewer(title="napari-histoaug")
    viewer.window.resize(*WINDOW_SIZE)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return Journey(viewer, widget, out)


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
