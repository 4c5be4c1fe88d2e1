"""Plots of a study as SVG: figures against ratio, differences with intervals, precision-recall."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_histoaug.learning.report import COLOURS

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 34, 40  # margins
ROW = 30  # height of a line of differences
GREY, AXIS = "#777", "#bbb"
ASIDE = 5  # px between the dots of two series at one x

Curve = Sequence[tuple[float, float]]  # (recall, precision)
Points = Sequence[tuple[float, Sequence[float]]]  # at each x the values of the seeds


@dataclass(frozen=True)
class Bar:
    """A labelled value with its interval."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Axes:
    """Maps values onto the plot's pixels."""

    left: float
    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        """Horizontal place of a value."""
        share = (value - self.left) / ((self.right - self.left) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        share = (self.high - value) / ((self.high - self.low) or 1)
        return TOP + share * (HEIGHT - TOP - BOTTOM)


def against_ratio(title: str, series: Mapping[str, Points], colours: Mapping[str, str]) -> str:
    """Draw a figure against the share of synthetic pairs.

    The line joins the means of the seeds; every seed is a dot; where an x has several dots of one
    series, a thin bar reaches from the lowest to the highest.
    """
    values = [v for of in series.values() for _, seeds in of for v in seeds]
    if not values:
        return ""
    xs = sorted({x for of in series.values() for x, _ in of})
    pad = 0.08 * (max(values) - min(values)) or 0.02
    aside = 0.05 * (xs[-1] - xs[0])
    axes = Axes(xs[0] - aside, xs[-1] + aside, max(0, min(values) - pad), min(1, max(values) + pad))
    parts = [_frame(title, "synthetic pairs, % of the real patches", axes)]
    parts += [_tick_x(axes.x(x), f"{x:g}") for x in xs]
    parts += [_tick_y(axes.y(v), f"{v:.2f}") for v in _ticks(axes.low, axes.high)]
    for index, (name, of) in enumerate(series.items()):
        aside = ASIDE * (index - (len(series) - 1) / 2)
        parts.append(_seeds(of, axes, colours[name], aside))
    return _svg(parts, title)


def _seeds(points: Points, axes: Axes, colour: str, aside: float) -> str:
    parts, means = [], []
    for x, seeds in points:
        if not seeds:
            continue
        px = axes.x(x) + aside
        means.append(f"{px:.1f},{axes.y(sum(seeds) / len(seeds)):.1f}")
        parts.append(
            f'<path d="M{px:.1f},{axes.y(min(seeds)):.1f} V{axes.y(max(seeds)):.1f}" '
            f'stroke="{colour}" stroke-opacity=".45" fill="none"/>'
        )
        parts += [
            f'<circle cx="{px:.1f}" cy="{axes.y(v):.1f}" r="2.6" fill="{colour}" '
            'fill-opacity=".55"/>'
            for v in seeds
        ]
    line = f'<polyline points="{" ".join(means)}" fill="none" stroke="{colour}" stroke-width="2"/>'
    return "".join([line, *parts])


def precision_recall(
    title: str, curves: Mapping[str, Sequence[Curve]], colours: Mapping[str, str]
) -> str:
    """Draw (recall, precision) curves, one a seed; precision reaches to the largest there is."""
    highest = [p for of in curves.values() for seed in of for _, p in seed]
    if not highest:
        return ""
    top = max(highest)
    axes = Axes(0, 1, 0, top)
    parts = [_frame(title, "recall", axes)]
    parts += [_tick_x(axes.x(tick), f"{tick:g}") for tick in (0, 0.25, 0.5, 0.75, 1)]
    parts += [_tick_y(axes.y(tick), f"{tick:.2f}") for tick in _ticks(0, top)]
    for name, seeds in curves.items():
        for points in seeds:
            line = " ".join(f"{axes.x(r):.1f},{axes.y(p):.1f}" for r, p in points)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{colours[name]}" '
                'stroke-width="1.4" stroke-opacity=".8"/>'
            )
    return _svg(parts, title)


def differences(title: str, bars: Sequence[Bar]) -> str:
    """Draw values with their intervals, one a line, around a vertical line at 0."""
    if not bars:
        return ""
    reach = 1.1 * max(max(abs(b.low), abs(b.high), abs(b.value)) for b in bars) or 0.01
    height = TOP + ROW * len(bars) + BOTTOM
    names, width = 190, 700

    def x(value: float) -> float:
        return names + (value + reach) / (2 * reach) * (width - names - 20)

    floor = TOP + ROW * len(bars)
    parts = [
        f'<text x="8" y="18" class="title">{html.escape(title)}</text>',
        f'<path d="M{x(0):.1f},{TOP - 6} V{floor}" stroke="{GREY}" stroke-dasharray="3 3"/>',
        f'<path d="M{names},{floor} H{width - 20}" stroke="{AXIS}"/>',
    ]
    for tick in (-reach / 1.1, 0, reach / 1.1):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{floor + 18}" text-anchor="middle">{tick:+.3f}</text>'
        )
    for index, bar in enumerate(bars):
        y = TOP + ROW * (index + 0.5)
        colour = COLOURS[0] if bar.low > 0 else COLOURS[1] if bar.high < 0 else GREY
        parts.append(
            f'<text x="{names - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(bar.label)}'
            f'</text><path d="M{x(bar.low):.1f},{y:.1f} H{x(bar.high):.1f}" stroke="{colour}" '
            f'stroke-width="3"/><circle cx="{x(bar.value):.1f}" cy="{y:.1f}" r="5" '
            f'fill="{colour}"/>'
        )
    return _svg(parts, title, width, height)


def legend(colours: Mapping[str, str]) -> str:
    """Names beside their colours, as HTML."""
    items = (
        f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>'
        for name, colour in colours.items()
    )
    return f'<p class="legend">{"".join(items)}</p>'


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in their order."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def _ticks(low: float, high: float) -> list[float]:
    """Round values in a range, about five."""
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if s == 0.2 or (high - low) / s <= 6)
    first = -(-low // step)
    return [step * (first + i) for i in range(12) if step * (first + i) <= high]


def _frame(title: str, below: str, axes: Axes) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return (
        f'<text x="{LEFT}" y="18" class="title">{html.escape(title)}</text>'
        f'<path d="M{LEFT},{TOP} V{floor} H{right}" fill="none" stroke="{AXIS}"/>'
        f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(below)}</text>"
    )


def _tick_x(x: float, text: str) -> str:
    floor = HEIGHT - BOTTOM
    return f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{text}</text>'


def _tick_y(y: float, text: str) -> str:
    return (
        f'<path d="M{LEFT},{y:.1f} H{WIDTH - RIGHT}" stroke="#eee"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _svg(parts: Sequence[str], title: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{html.escape(title)}">{"".join(parts)}</svg>'
    )
