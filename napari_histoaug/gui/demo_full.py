"""``make demo-full``: ten minutes of a pathologist, driven through the real widgets and timed.

Open a slide, paint five vessels, fill them at once, compare before and after, accept, take one
back, export the pairs, close everything, and find it all again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.gui.demo_full_page import write_session_page
from napari_histoaug.gui.demo_journey import (
    VENULE,
    Journey,
    Vessel,
    live,
    look_at,
    open_slide_layer,
    paint,
    photograph,
    shown,
)
from napari_histoaug.gui.demo_page import PICTURES, DemoError, write_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_histoaug.edits import EditRecord
    from napari_histoaug.gui.geometry import Box
    from napari_histoaug.gui.work import Part

VESSELS = (
    VENULE,
    Vessel((2330.0, 930.0), 32.0, 3),
    Vessel((2130.0, 1480.0), 46.0, 11),
    Vessel((2430.0, 1470.0), 36.0, 5),
    Vessel((1500.0, 920.0), 30.0, 2),
)
"""All in the dermis of CMU-1-Small-Region, far enough apart to be filled each for itself."""
ALL_IN_VIEW = Vessel((2080.0, 1150.0), 0.0, 0), 0.37
"""Where to stand to see all of them, and the zoom relative to that for one of them."""
COMPARED = (0, 50, 100)  # per cent of the result over the slide
PAIRS = "pairs"


def drive_session(journey: Journey, slide: Path, reopen: Callable[[], Journey]) -> Path:
    """Make the whole session and write its page.

    Parameters
    ----------
    journey
        A viewer with the plugin's widget; it is closed on the way.
    slide
        A copy of the sample slide inside the demo's folder.
    reopen
        Gives another viewer with the plugin's widget, after the first was closed.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    HistoaugError
        One sentence, when a step fails or something is not as it was left.
    """
    (journey.out / PICTURES).mkdir(exist_ok=True)
    try:
        left = _work(journey, slide)
    finally:
        with journey.step("close"):
            journey.viewer.close()
            live()
    with journey.step("reopen"):
        again = reopen()
        again.seconds = journey.seconds
        open_slide_layer(again, slide)
    try:
        _check_again(again, left)
        see_all(again, "reopened")
        facts = _facts(again, left)
    finally:
        again.viewer.close()
    return write_session_page(journey.out, facts)


@dataclass(frozen=True, eq=False)
class Left:
    """How the session was left: its edits, the one taken back, what was shown where."""

    records: Sequence[EditRecord]
    undone: EditRecord
    shown: Sequence[tuple[Box, NDArray[np.uint8]]]
    sha256: str


def _work(journey: Journey, slide: Path) -> Left:
    """Everything until the window is closed."""
    with journey.step("open the slide"):
        open_slide_layer(journey, slide)
        sha256 = journey.session.slide.sha256()
    with journey.step("paint five vessels"):
        for vessel in VESSELS:
            look_at(journey, vessel)
            paint(journey, vessel)
    see_all(journey, "painted")
    boxes = [part.box for part in _inpaint(journey)]
    before = [(box, shown(journey, box)) for box in boxes]
    _compare(journey)
    _accept(journey)
    see_all(journey, "accepted")
    for number, (box, old) in enumerate(before, 1):
        write_picture(journey.out / PICTURES / f"vessel-{number}-before.png", old)
        write_picture(journey.out / PICTURES / f"vessel-{number}-after.png", shown(journey, box))
    undone = _undo_one(journey, before)
    see_all(journey, "one-taken-back")
    _export(journey)
    left = [(box, shown(journey, box)) for box in boxes]
    return Left(list(journey.session.edits.edits), undone, left, sha256)


def see_all(journey: Journey, name: str) -> None:
    """Look at all five places at once and take a picture of the window."""
    place, zoom = ALL_IN_VIEW
    look_at(journey, place)
    journey.viewer.camera.zoom *= zoom
    live(0.5)
    photograph(journey, f"{PICTURES}/{name}.png")


def _inpaint(journey: Journey) -> Sequence[Part]:
    """Click once; all that is painted is filled."""
    controller = journey.widget.controller
    with journey.step("inpaint them together"):
        journey.click("Inpaint vessel")
        journey.wait(lambda: controller.proposal is not None, "Inpaint vessel")
    parts: Sequence[Part] = controller.proposal.parts
    if len(parts) != len(VESSELS):
        raise DemoError(f"Of {len(VESSELS)} painted vessels {len(parts)} were filled.")
    return parts


def _compare(journey: Journey) -> None:
    """Move the slider from the slide as it was to the result, over the first vessel."""
    with journey.step("compare before and after"):
        look_at(journey, VESSELS[0])
        for percent in COMPARED:
            journey.widget.review_panel.blend.setValue(percent)
            live(0.2)
            photograph(journey, f"{PICTURES}/compared-{percent}.png")


def _accept(journey: Journey) -> None:
    with journey.step("accept them"):
        journey.click("Accept")
        edits = journey.session.edits
        journey.wait(lambda: len(edits.edits) == len(VESSELS), "Accept")


def _undo_one(journey: Journey, before: Sequence[tuple[Box, NDArray[np.uint8]]]) -> EditRecord:
    """Take the last one back; its place is the slide's again."""
    edits = journey.session.edits
    with journey.step("take one back"):
        journey.click("Undo")
        journey.wait(lambda: bool(edits.undone), "Undo")
    undone = edits.undone[-1]
    (old,) = [pixels for box, pixels in before if box == undone.box]
    if not np.array_equal(shown(journey, undone.box), old):
        raise DemoError("The place of the edit that was taken back is not as it was before.")
    return undone


def _export(journey: Journey) -> None:
    panel, folder = journey.widget.export_panel, journey.out / PAIRS
    with journey.step("export the pairs"):
        index = panel.way_box.findData("pairs")
        panel.way_box.setCurrentIndex(index)
        panel.way_box.activated.emit(index)
        panel.folder_edit.setText(str(folder))
        journey.click("Export")
        journey.wait(lambda: (folder / "manifest.csv").is_file(), "Export")


def _check_again(again: Journey, left: Left) -> None:
    """Everything is as it was left: the edits, the one taken back, and every pixel."""
    edits = again.session.edits
    if edits.edits != left.records or edits.undone != [left.undone]:
        raise DemoError("The edits of the reopened slide are not those that were accepted.")
    for box, pixels in left.shown:
        if not np.array_equal(shown(again, box), pixels):
            raise DemoError("The reopened slide does not show the pixels that were accepted.")


def _facts(again: Journey, left: Left) -> dict[str, Any]:
    """The session in numbers, as ``summary.json`` holds it."""
    records, undone = left.records, left.undone
    from napari_histoaug.slides import open_slide

    # a second opening: the hash of the first one is kept from before
    with open_slide(again.session.slide.path) as slide:
        sha256 = slide.sha256()
    return {
        "slide": again.session.slide.name,
        "slide_sha256_before": left.sha256,
        "slide_sha256_after": sha256,
        "painted": len(VESSELS),
        "kept": [record.id for record in records],
        "taken_back": undone.id,
        "method": undone.method,
        "evaluations": sum(record.evaluations for record in (*records, undone)),
        "seeds": [record.seed for record in (*records, undone)],
        "model": undone.model,
        "model_sha256": undone.model_sha256,
        "seconds": again.seconds,
    }
