"""The page that a whole session leaves behind."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_histoaug.gui.demo_page import PICTURES, framed, rows, time_rows, write_page

MINUTES = 10
PATCH = 256  # px on the page


def write_session_page(out: Path, facts: Mapping[str, Any]) -> Path:
    """Write ``summary.json`` and, last of all, the page; return the page."""
    return write_page(out, facts, session_text(facts, [p.name for p in pairs_in(out)]))


def pairs_in(out: Path) -> list[Path]:
    """The images among the exported pairs."""
    every = sorted((out / "pairs").glob("*.png"))
    return [path for path in every if not path.stem.endswith("_mask")]


def session_text(facts: Mapping[str, Any], pairs: list[str]) -> str:
    """The page: what was seen at every step, and how long each took."""
    unchanged = facts["slide_sha256_before"] == facts["slide_sha256_after"]
    made = {
        "Slide": f"{facts['slide']} (CC0, OpenSlide test data)",
        "Slide file": f"unchanged, sha256 {facts['slide_sha256_after']}"
        if unchanged
        else "CHANGED",
        "Vessels": f"{facts['painted']} painted, {len(facts['kept'])} kept, one taken back",
        "Method": f"{facts['method']}, {facts['evaluations']} passes of the network",
        "Network": f"{facts['model']}, sha256 {facts['model_sha256']}",
    }
    vessels = "\n".join(_vessel(number) for number in range(1, facts["painted"] + 1))
    files = ", ".join(f'<a href="pairs/{html.escape(n)}">{html.escape(n)}</a>' for n in pairs)
    seconds = sum(facts["seconds"].values())
    left = MINUTES * 60 - seconds
    body = BODY.format(
        vessels=vessels,
        windows="\n".join(_window(name, said) for name, said in WINDOWS.items()),
        made=rows(made),
        seconds=time_rows(facts["seconds"]),
        share=f"{seconds:.0f} of {MINUTES * 60} seconds",
        left=f"{left:.0f} seconds" if left > 0 else "nothing",
        pairs=files or "none",
    )
    return framed(f"{MINUTES} minutes", body, PATCH)


def _vessel(number: int) -> str:
    name = f"{PICTURES}/vessel-{number}"
    return f"""<figure><img class="patch" src="{name}-before.png" alt="Place {number} before">
<img class="patch" src="{name}-after.png" alt="Place {number} after">
<figcaption>Vessel {number}, before and after</figcaption></figure>"""


def _window(name: str, said: str) -> str:
    return f"""<figure><img class="window" src="{PICTURES}/{name}.png" alt="{said}">
<figcaption>{said}</figcaption></figure>"""


WINDOWS = {
    "painted": "Five vessels are painted; the canvas followed the view.",
    "compared-0": "The slide as it was: the slider is at the left.",
    "compared-50": "Half of each.",
    "compared-100": "The result: the slider is at the right.",
    "accepted": "All five are accepted.",
    "one-taken-back": "One was taken back; its place is the slide's again.",
    "reopened": "The slide, closed and opened again: four edits are there.",
}

BODY = """<p>What the machine does in ten minutes with a slide: every step below was made through
the window's own buttons. The machine took {share}; {left} are left for the person.
Generated tissue is not for diagnosis.</p>
{vessels}
<h2>How long it took</h2>
<table>
{seconds}
</table>
<h2>What was made</h2>
<table>
{made}
</table>
<p>Exported: {pairs}, <a href="pairs/manifest.csv">pairs/manifest.csv</a>; the numbers of this page:
<a href="summary.json">summary.json</a>.</p>
<h2>The window</h2>
{windows}"""
