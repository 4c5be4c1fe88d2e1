"""``report/index.html`` of a study: one page, readable without a server, from ``results.json``."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from napari_histoaug.learning.report import STYLE
from napari_histoaug.study.images_part import (
    cost_table,
    data_part,
    dropped_table,
    image_table,
    share_table,
)
from napari_histoaug.study.pictures import Picture, figure_html
from napari_histoaug.study.results import Results
from napari_histoaug.study.scores_part import (
    case_table,
    conclusion,
    curves,
    how_chosen,
    main_table,
    object_table,
    ratio_plots,
    theirs,
)

DRAWS = 2000
ERRORS_NOTE = (
    "Green: found; red: false alarm; blue: missed; grey: the tissue. Unfiltered. Fields are taken "
    "by the change of their Dice, not by looks; disputed vessels are not coloured."
)
SAMPLES_NOTE = (
    "Pairs evenly spaced in the list of each recipe, not picked by looks: what was generated, "
    "and below with the outlines of the label. Removed vessels and untouched places have none."
)
TITLE = "Does augmentation help?"

MORE_STYLE = """
body { max-width: 1180px; } h2 { border-top: 1px solid #ddd; padding-top: 1.2em; }
h3 { font-size: 1em; margin: 1.2em 0 .3em; }
table { margin: .4em 0 1em; } th { text-align: left; font-weight: 600; vertical-align: bottom; }
th, td { padding: .2em 1.1em .2em 0; border-bottom: 1px solid #eee; } td { white-space: nowrap; }
.wide { overflow-x: auto; } .wide td, .wide th { font-size: .85em; padding-right: .9em; }
.wide td:last-child { white-space: normal; min-width: 10em; }
.verdict { font-size: 1.1em; padding: 1em 1.2em; border-left: 6px solid #999; background: #f7f7f5; }
.verdict.helped { border-color: #3d7d4d; } .verdict.did-not-help { border-color: #b5433c; }
.verdict.helped-in-part { border-color: #b07d1e; }
.missing { background: #fdf6e6; padding: .8em 1.2em; border-left: 6px solid #e0b84c; }
.plots svg { width: 32%; min-width: 300px; } .side { display: flex; flex-wrap: wrap; gap: 2em; }
.side svg { flex: none; } .legend span { margin-right: 1.4em; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
svg text.title { font-weight: 600; fill: #222; font-size: 13px; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; } .pictures figure { margin: 0; }
nav { color: #666; margin-top: 1em; }
nav a { color: #1b6ca8; margin-right: 1em; text-decoration: none; }
"""


class Section(NamedTuple):
    """A heading, its anchor and what stands below it."""

    anchor: str
    title: str
    body: str


def write_page(
    path: Path,
    results: Results,
    errors: Sequence[Picture] = (),
    samples: Sequence[Picture] = (),
    *,
    draws: int = DRAWS,
) -> Path:
    """Write the page; it is there whole or not at all.

    Parameters
    ----------
    path : Path
        The HTML file; its folder is made.
    results : Results
    errors : sequence of Picture
        Right and wrong pixels of test fields.
    samples : sequence of Picture
        Generated pairs.
    draws : int
        Bootstrap resamples of every interval.
    """
    sections = [
        *_findings(results, draws),
        *_pictures(errors, samples),
        *_making(results),
    ]
    links = "".join(f'<a href="#{s.anchor}">{html.escape(s.title)}</a>' for s in sections)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{TITLE}</title><style>{STYLE}{MORE_STYLE}</style></head><body>",
        f"<h1>{TITLE}</h1>",
        conclusion(results, draws),
        _missing(results),
        f"<nav>{links}</nav>",
        *(f'<h2 id="{s.anchor}">{html.escape(s.title)}</h2>{s.body}' for s in sections),
        "</body></html>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("\n".join(parts), encoding="utf-8")
    os.replace(temporary, path)
    return path


def _missing(results: Results) -> str:
    if not results.missing:
        return ""
    items = "".join(f"<li>{html.escape(name)}</li>" for name in results.missing)
    return f'<div class="missing"><b>This run lacks</b><ul>{items}</ul></div>'


def _findings(results: Results, draws: int) -> list[Section]:
    if not any(cell.split == "test" for cell in results.cells):
        return [Section("choice", "What was chosen, on validation", how_chosen(results))]
    read = (
        "<p>Pixels of all test cases added up; mean ± standard deviation over seeds. In brackets "
        "95 % intervals of a paired bootstrap over fields of view: every resample compares both "
        "segmenters on the same fields. Fields of a few cases do not say how other patients would "
        "differ.</p>"
    )
    wide = '<div class="wide">{}</div>'
    return [
        Section("segmenters", "Segmenters", read + wide.format(main_table(results, "test", draws))),
        Section("ratio", "Against the share of synthetic pairs", ratio_plots(results, "test")),
        Section("curves", "Precision and recall", curves(results, "test")),
        Section("cases", "Each case", wide.format(case_table(results, "test"))),
        Section("objects", "Objects", _objects(results)),
        Section("thesis", "Beside the thesis", theirs(results, draws) + _thesis_note(results)),
        Section("choice", "What was chosen, on validation", how_chosen(results)),
    ]


def _objects(results: Results) -> str:
    note = (
        '<p class="note">Vessels as wholes, matched one to one at an intersection over union of '
        "at least a half; unfiltered.</p>"
    )
    return note + (object_table(results, "test") or '<p class="note">Not counted.</p>')


def _thesis_note(results: Results) -> str:
    note = results.content.get("thesis", {}).get("note", "")
    return (
        f'<p class="note">{html.escape(note)} Of its segmenters only the directions are known '
        "here.</p>"
    )


def _pictures(errors: Sequence[Picture], samples: Sequence[Picture]) -> list[Section]:
    sections = []
    for anchor, title, note, of in (
        ("errors", "Right and wrong", ERRORS_NOTE, errors),
        ("samples", "Generated pairs", SAMPLES_NOTE, samples),
    ):
        body = "".join(figure_html(picture) for picture in of)
        told = f'<p class="note">{note if body else "This report has none."}</p>'
        sections.append(Section(anchor, title, f'{told}<div class="pictures">{body}</div>'))
    return sections


def _making(results: Results) -> list[Section]:
    return [
        Section("images", "Image quality", f'<div class="wide">{image_table(results)}</div>'),
        Section("shares", "Share of vessel pixels", share_table(results)),
        Section("dropped", "Dropped before training", dropped_table(results)),
        Section("costs", "Costs", cost_table(results)),
        Section("data", "Data and attribution", data_part(results)),
    ]
