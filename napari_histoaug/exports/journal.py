"""The journal of a slide's edits for people and tables: JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from napari_histoaug.edits import EditStore
from napari_histoaug.edits.journal import Journal
from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.whole import whole
from napari_histoaug.slides import Slide

JOURNAL = "journal.jsonl"


def export_journal(slide: Slide, store: EditStore, path: Path) -> Path:
    """Write every edit that was ever accepted, and whether it is in force.

    Parameters
    ----------
    slide : Slide
    store : EditStore
    path : Path
        ``.csv`` for a table, one row an edit; ``.json`` also holds the events in their order. An
        older one is replaced.

    Raises
    ------
    ExportError
        When no edit was ever accepted, or the file cannot be written.
    """
    events = Journal(store.folder / JOURNAL).new_events()
    if not events:
        raise ExportError("No edit was ever accepted for this slide, so there is no journal.")
    active = {record.id for record in store.edits}
    edits = [
        {**event.record.model_dump(mode="json"), "in_force": event.id in active}
        for event in events
        if event.record is not None
    ]
    if path.suffix == ".csv":
        text = _table(edits, slide.slide_id())
    else:
        document = {
            "slide_id": slide.slide_id(),
            "edits": edits,
            "events": [{"event": event.event, "id": event.id} for event in events],
        }
        text = json.dumps(document, indent=2)
    with whole(path, replace=True) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _table(edits: list[dict[str, Any]], slide_id: str) -> str:
    rows = []
    for edit in edits:
        box, mpp = edit.pop("box"), edit.pop("mpp") or (None, None)
        software = edit.pop("versions")
        row = {"slide_id": slide_id, **edit}
        row |= dict(zip(("y", "x", "height", "width"), box, strict=True))
        row |= {"mpp_y": mpp[0], "mpp_x": mpp[1]}
        row["versions"] = " ".join(f"{name}={version}" for name, version in software.items())
        rows.append(row)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
