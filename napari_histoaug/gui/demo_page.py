"""What the demo leaves behind: pictures, a summary for programs, the same as a page for people."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.errors import HistoaugError

PAGE = "index.html"
WRITTEN = ("before.png", "after.png", "hole.png", "napari.png", "summary.json", PAGE)
PICTURES = "pictures"
FOLDERS = ("pair", "pairs", PICTURES)


class DemoError(HistoaugError):
    """The demo cannot be shown; the message says why and what to do."""


@dataclass
class Summary:
    """The journey in numbers, as ``summary.json`` holds it.

    Attributes
    ----------
    slide
        File name of the public sample slide.
    slide_sha256_before, slide_sha256_after
        Hash of the slide's bytes before the journey and after it.
    box
        y, x, height and width in level-0 pixels: what the pictures show.
    mpp
        Micrometres per pixel, (y, x), or None.
    label, method, steps, evaluations, seed, model, model_sha256
        How the pixels were made; evaluations are passes of the network.
    changed_pixels
        Pixels of the box that are generated.
    seconds
        Seconds of each step of the journey, in its order.
    """

    slide: str = ""
    slide_sha256_before: str = ""
    slide_sha256_after: str = ""
    box: dict[str, int] = field(default_factory=dict)
    mpp: list[float] | None = None
    label: str = ""
    method: str = ""
    steps: int | None = None
    evaluations: int | None = None
    seed: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    changed_pixels: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def prepare_folder(out: Path, slide: Path) -> Path:
    """Start afresh: remove what an earlier demo wrote and copy the slide in.

    Parameters
    ----------
    out
        The demo's folder; made when it is not there.
    slide
        The sample in the cache, which nothing is written beside.

    Returns
    -------
    Path
        The copy of the slide.

    Raises
    ------
    DemoError
        When the folder holds something that is not the demo's, or cannot be written.
    """
    ours = {*WRITTEN, *FOLDERS, slide.name, f"{slide.stem}.histoaug"}
    try:
        out.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in out.iterdir() if path.name not in ours)
        if foreign:
            raise DemoError(
                f"The folder {out} holds files that are not the demo's ({foreign[0]}): "
                "name an empty or a new folder."
            )
        for path in list(out.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return Path(shutil.copy(slide, out / slide.name))
    except OSError as error:
        raise DemoError(
            f"The folder {out} cannot be written ({error.strerror}): name a folder of yours."
        ) from error


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a uint8 array, (height, width, 3) or (height, width), as PNG."""
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def write_summary(out: Path, summary: Summary) -> Path:
    """Write ``summary.json`` and, last of all, the page; return the page."""
    facts = asdict(summary)
    pairs = sorted((out / "pair").glob("*.png"))
    return write_page(out, facts, page_text(facts, [f"pair/{path.name}" for path in pairs]))


def write_page(out: Path, facts: Mapping[str, Any], text: str) -> Path:
    """Write the facts as ``summary.json`` and, last of all, the page; return the page."""
    (out / "summary.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    part = out / f".{PAGE}"
    part.write_text(text, encoding="utf-8")
    return part.replace(out / PAGE)


def page_text(facts: Mapping[str, Any], pair: list[str]) -> str:
    """The page: the pictures, how they were made, and how long each step took."""
    box, mpp = facts["box"], facts["mpp"]
    unchanged = facts["slide_sha256_before"] == facts["slide_sha256_after"]
    made = {
        "Slide": f"{facts['slide']} (CC0, OpenSlide test data)",
        "Slide file": "unchanged, sha256 " + facts["slide_sha256_after"]
        if unchanged
        else "CHANGED",
        "Place": "y {y}, x {x}, {height} × {width} pixels of level 0".format(**box),
        "Pixel size": f"{mpp[0]:.3f} × {mpp[1]:.3f} µm" if mpp else "not known",
        "Class": facts["label"],
        "Method": f"{facts['method']}, {facts['evaluations']} passes of the network, "
        f"seed {facts['seed']}",
        "Network": f"{facts['model']}, sha256 {facts['model_sha256']}",
        "Generated pixels": f"{facts['changed_pixels']} of {box['height'] * box['width']}",
    }
    files = ", ".join(f'<a href="{html.escape(name)}">{html.escape(name)}</a>' for name in pair)
    body = BODY.format(made=rows(made), seconds=time_rows(facts["seconds"]), pair=files or "none")
    return framed("A painted vessel", body, min(512, 2 * int(box["width"])))


def framed(title: str, body: str, width: int) -> str:
    """A whole page around its body; patches are shown `width` pixels wide."""
    return FRAME.format(title=title, body=body, width=width)


def time_rows(seconds: Mapping[str, float]) -> str:
    """Rows of an HTML table: each step, and all together."""
    said = {step: f"{value:.1f} s" for step, value in seconds.items()}
    return rows(said | {"all together": f"{sum(seconds.values()):.1f} s"})


def rows(table: Mapping[str, str]) -> str:
    """Rows of an HTML table."""
    return "\n".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in table.items()
    )


FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>napari-histoaug: {title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }}
figure {{ display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top }}
figcaption {{ color: #555 }}
.patch {{ width: {width}px; max-width: 100%; image-rendering: auto }}
.small {{ width: calc({width}px / 2) }}
.window {{ max-width: 100% }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top;
         overflow-wrap: anywhere }}
th {{ font-weight: 600; white-space: nowrap }}
</style>
<h1>{title}</h1>
{body}
</html>
"""

BODY = """<p>A mask was painted on a real slide where there is no vessel, <em>Inpaint vessel</em>
was clicked, and the result accepted. Both pictures are read back from the pyramid that napari
shows.
Generated tissue is not for diagnosis.</p>
<figure><img class="patch" src="before.png" alt="The tissue before">
<figcaption>Before</figcaption></figure>
<figure><img class="patch" src="after.png" alt="The tissue after">
<figcaption>After: a generated vessel in the middle</figcaption></figure>
<figure><img class="patch small" src="hole.png" alt="The generated pixels">
<figcaption>Generated pixels (white); all others are the slide's</figcaption></figure>
<h2>The window</h2>
<p><img class="window" src="napari.png" alt="napari with the slide and the panels"></p>
<h2>How it was made</h2>
<table>
{made}
</table>
<h2>How long it took</h2>
<table>
{seconds}
</table>
<h2>The exported pair</h2>
<p>{pair}, <a href="pair/manifest.csv">pair/manifest.csv</a>;
the numbers of this page: <a href="summary.json">summary.json</a>.</p>"""
