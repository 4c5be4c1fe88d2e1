"""One page about a finished run, readable without a server: report.html."""

from __future__ import annotations

import base64
import html
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from napari_histoaug.learning.journal import SAMPLES, read_log

REPORT = "report.html"
WIDTH, HEIGHT, MARGIN = 640, 260, 56
SHOWN_SAMPLES = 4
SPEEDS = ("examples_per_second", "data_wait")
COLOURS = ("#1b6ca8", "#b5433c", "#3d7d4d", "#8a5a9e", "#b07d1e", "#4a4a4a", "#2a9d9d", "#c26a8d")

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 880px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; } td { padding: .15em 1.2em .15em 0; vertical-align: top; }
td + td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
pre { background: #f5f5f3; padding: 1em; overflow-x: auto; } img { max-width: 100%; }
figure { margin: 0 0 1.5em; } figcaption, .note { color: #666; font-size: .9em; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #555; }
"""


@dataclass(frozen=True)
class RunFacts:
    """What a report says besides the log.

    Attributes
    ----------
    step : int
    seconds : float
        Training time, over all sittings.
    devices : int
        Processes, one a device.
    device : str
        Kind of device.
    tissue, held_out : str
        sha256 of what was learnt from and checked with.
    """

    step: int
    seconds: float
    devices: int
    device: str
    tissue: str
    held_out: str


def write_report(out: Path, config: BaseModel, facts: RunFacts) -> Path:
    """Write ``report.html`` into a run's folder; returns its path."""
    rows = read_log(out)
    page = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{html.escape(out.name)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{html.escape(out.name)}</h1>",
            _facts(facts, rows),
            *_plots(rows),
            *_samples(out),
            "<h2>Settings</h2>",
            f"<pre>{html.escape(yaml.safe_dump(shown(config), sort_keys=False))}</pre>",
            "</body></html>",
        ]
    )
    path = out / REPORT
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, path)
    return path


def shown(config: BaseModel) -> dict[str, Any]:
    """The settings without what could name a patient: folders and cases become counts or names."""
    content = config.model_dump(mode="json", exclude_none=True)
    data = content.get("data", {})
    for name in ("train_cases", "validation_cases"):
        if name in data:
            data[name] = f"{len(data[name])} cases"
    _shorten(content, config)
    return content


def _shorten(content: dict[str, Any], config: BaseModel) -> None:
    for name in content:
        value = getattr(config, name)
        if isinstance(value, Path):
            content[name] = value.name
        elif isinstance(value, BaseModel):
            _shorten(content[name], value)


def _facts(facts: RunFacts, rows: Sequence[dict[str, Any]]) -> str:
    hours = facts.seconds / 3600
    pairs = {
        "steps": f"{facts.step:,}",
        "training time": f"{hours:.2f} h",
        "cost": f"{hours * facts.devices:.2f} device hours "
        f"({facts.devices} x {facts.device}, {torch.get_num_threads()} threads)",
        "training tissue, sha256": facts.tissue,
        "held-out tissue, sha256": facts.held_out,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "PyTorch": torch.__version__,
    }
    for name, label in (("examples_per_second", "examples a second"), ("data_wait", "data wait")):
        values = sorted(row[name] for row in rows if name in row)
        if values:
            middle = values[len(values) // 2]
            pairs[f"{label}, median"] = f"{middle:.1%}" if name == "data_wait" else f"{middle:.3g}"
    last = {name: row[name] for row in rows for name in row if name.startswith("held_out")}
    pairs.update({name.replace("_", " "): f"{value:.4f}" for name, value in last.items()})
    cells = (
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in pairs.items()
    )
    return f"<table>{''.join(cells)}</table>"


def _plots(rows: Sequence[dict[str, Any]]) -> list[str]:
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in ("step", "seconds", *SPEEDS):
                series.setdefault(name, []).append((row["step"], value))
    losses = {n: p for n, p in series.items() if n in ("loss", "held_out_loss")}
    plots = ["<h2>Losses</h2>", plot("loss", losses)]
    others = {n: p for n, p in series.items() if n not in losses}
    terms = {n: p for n, p in others.items() if not n.startswith(("held_out", "codes"))}
    if terms:
        plots.append(plot("terms of the loss", terms))
    plots += [plot(n.replace("_", " "), {n: p}) for n, p in others.items() if n not in terms]
    return plots


def _samples(out: Path) -> list[str]:
    paths = sorted((out / SAMPLES).glob("step-*.png"))
    if not paths:
        return []
    every = max(1, math.ceil((len(paths) - 1) / (SHOWN_SAMPLES - 1)))
    chosen = sorted({*paths[::every], paths[-1]})
    figures = ["<h2>Samples</h2>", '<p class="note">Always of the same held-out tissue.</p>']
    for path in chosen:
        data = base64.b64encode(path.read_bytes()).decode()
        step = int(path.stem.split("-")[1])
        figures.append(
            f'<figure><img alt="samples at step {step}" src="data:image/png;base64,{data}">'
            f"<figcaption>step {step:,}</figcaption></figure>"
        )
    return figures


def plot(title: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Draw curves as SVG.

    Parameters
    ----------
    title : str
        Above the plot.
    series : dict
        Name of each curve: its (step, value) points. Values that are not numbers are left out.
    """
    series = {n: [(x, y) for x, y in p if math.isfinite(y)] for n, p in series.items()}
    points = [point for of in series.values() for point in of]
    if not points:
        return ""
    right = max(x for x, _ in points) or 1
    low, high = min(y for _, y in points), max(y for _, y in points)
    span = (high - low) or abs(high) or 1.0

    def place(x: float, y: float) -> str:
        px = MARGIN + x / right * (WIDTH - MARGIN - 10)
        return f"{px:.1f},{30 + (high - y) / span * (HEIGHT - 60):.1f}"

    floor = HEIGHT - 30
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
        f'<text x="{MARGIN}" y="16">{html.escape(title)}</text>',
        f'<path d="M{MARGIN},30 V{floor} H{WIDTH - 10}" fill="none" stroke="#bbb"/>',
        f'<text x="{MARGIN - 6}" y="36" text-anchor="end">{high:.3g}</text>',
        f'<text x="{MARGIN - 6}" y="{floor}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{WIDTH - 10}" y="{HEIGHT - 12}" text-anchor="end">step {right:,.0f}</text>',
    ]
    for i, of in enumerate(series.values()):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(place(x, y) for x, y in of)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        if len(of) == 1:
            x, y = line.split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
    if len(series) > 1:
        parts.append(_legend(list(series)))
    return "".join([*parts, "</svg>"])


def _legend(names: Sequence[str]) -> str:
    """The names of the curves in their colours, above the plot, where no curve can run."""
    spans = (
        f'<tspan style="fill: {COLOURS[i % len(COLOURS)]}" dx="12">{html.escape(name)}</tspan>'
        for i, name in enumerate(names)
    )
    return f'<text x="{WIDTH - 10}" y="16" text-anchor="end">{"".join(spans)}</text>'
