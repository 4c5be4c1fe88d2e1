"""Figures as a printed table, as JSON, and as one page that needs no server."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from napari_histoaug.edits.versions import versions
from napari_histoaug.learning.report import STYLE

MISSING = "undefined"


class Table(NamedTuple):
    """A table with a title; all cells are text."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def as_text(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Tables for a terminal, columns aligned; then the notes."""
    lines: list[str] = []
    for table in tables:
        cells = [table.head, *table.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.head))]
        lines += ["", table.title]
        lines += ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in cells]
    return "\n".join([*lines, "", *notes])


def write_results(
    out: Path,
    title: str,
    figures: Mapping[str, Any],
    tables: Sequence[Table],
    notes: Sequence[str],
    about: Mapping[str, Any],
) -> list[Path]:
    """Write ``results.json`` and ``report.html``, each whole or not at all; returns both.

    Parameters
    ----------
    about : mapping
        How the figures came about: split, extractor, settings; versions are added.
    """
    out.mkdir(parents=True, exist_ok=True)
    about = {**about, "versions": versions()}
    content = {"about": about, "figures": figures, "notes": list(notes)}
    paths = [out / "results.json", out / "report.html"]
    texts = [json.dumps(content, indent=1) + "\n", _page(title, tables, notes, about)]
    for path, text in zip(paths, texts, strict=True):
        temporary = path.with_name(f"{path.name}.part")
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    return paths


def table_html(table: Table) -> str:
    """A table as HTML, without its title."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.head)
    rows = (
        "".join(f"<td>{html.escape(cell)}</td>" for cell in row).join(("<tr>", "</tr>"))
        for row in table.rows
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _page(
    title: str, tables: Sequence[Table], notes: Sequence[str], about: Mapping[str, Any]
) -> str:
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{html.escape(title)}</title><style>{STYLE}",
        "th { text-align: left; padding: .15em 1.2em .15em 0; font-weight: 600; }",
        f"</style></head><body><h1>{html.escape(title)}</h1>",
    ]
    for table in tables:
        parts.append(f"<h2>{html.escape(table.title)}</h2>{table_html(table)}")
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in notes]
    parts.append("<h2>How</h2><table>")
    for name, value in about.items():
        text = html.escape(value if isinstance(value, str) else json.dumps(value))
        parts.append(f"<tr><td>{html.escape(name)}</td><td>{text}</td></tr>")
    return "".join([*parts, "</table></body></html>"])
