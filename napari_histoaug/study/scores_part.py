"""The part of the report about segmenters: conclusion, tables and plots."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from napari_histoaug.evaluation.page import Table, table_html
from napari_histoaug.study.analysis import analysis
from napari_histoaug.study.cells import REAL, RECIPES, Arm, Cell, Split, by_arm, in_order
from napari_histoaug.study.plots import (
    Bar,
    Points,
    against_ratio,
    colours_of,
    differences,
    legend,
    precision_recall,
)
from napari_histoaug.study.results import Results
from napari_histoaug.study.statistics import (
    FIGURES,
    Difference,
    Fields,
    Of,
    Spread,
    area_of_guessing,
    area_under_curve,
    curve,
    difference,
    over_seeds,
)
from napari_histoaug.study.verdict import judge, unsure

HEADS = ("Dice", "precision", "recall")  # of FIGURES
NOTHING = "–"
Arms = dict[Arm, tuple[Cell, ...]]


def conclusion(results: Results, draws: int) -> str:
    """The plain sentence, without and with the filter, and the figures it rests on."""
    chosen = results.content.get("chosen")
    if not chosen:
        return _verdict_box(
            "cannot tell",
            "No recipe has been chosen on validation yet, so no test score was looked at.",
        )
    arm = (chosen["recipe"], chosen["ratio"])
    plain = judge(results.cells, arm, draws=draws)
    filtered = judge(results.cells, arm, of="filtered_fields", draws=draws)
    parts = [_verdict_box(plain.answer, plain.sentence)]
    if filtered.differences:
        parts.append(f"<p><b>After the false-positive filter.</b> {html.escape(filtered.sentence)}")
    parts.append(f'<p class="note">{html.escape(plain.basis)}</p>')
    bars = [
        Bar(
            f"{HEADS[FIGURES.index(name)]}{suffix}",
            d.interval.value,
            d.interval.low,
            d.interval.high,
        )
        for suffix, verdict in (("", plain), (", filtered", filtered))
        for name, d in verdict.differences.items()
    ]
    title = f"{arm[0]}, {arm[1]} %, minus real tissue alone, on the test cases"
    behind = "".join(
        f"<li>{html.escape(said)}</li>" for said in analysis(results.cells, arm, draws=draws)
    )
    return "".join([*parts, differences(title, bars), f"<ul>{behind}</ul>" if behind else ""])


def _verdict_box(answer: str, sentence: str) -> str:
    kind = answer.replace(" ", "-")
    return f'<p class="verdict {kind}">{html.escape(sentence)}</p>'


def how_chosen(results: Results) -> str:
    """Why this recipe and ratio, and the validation figures behind it."""
    chosen = results.content.get("chosen")
    arms = by_arm(results.cells, "validation")
    if not arms:
        return '<p class="note">There are no validation scores.</p>'
    said = chosen["why"] if chosen else "Nothing was chosen yet."
    head = ("recipe", "synthetic", "seeds", *HEADS)
    rows = [
        [
            _mark(arm, chosen) + _name(arm[0]),
            f"{arm[1]} %",
            f"{len(of)}",
            *(_text(over_seeds(of, f)) for f in FIGURES),
        ]
        for arm, of in ordered(arms)
    ]
    return (
        f"<p>{html.escape(said)} Test cases played no part in it; ▸ marks the choice.</p>"
        f"{table_html(Table('', head, rows))}"
    )


def main_table(results: Results, split: Split, draws: int) -> str:
    """Dice, precision and recall of every arm, and how far above real tissue alone."""
    arms = by_arm(results.cells, split)
    chosen = results.content.get("chosen")
    parts = []
    fields: tuple[tuple[str, Of, Fields], ...] = (
        ("Without the false-positive filter", "cases", "fields"),
        ("With the filter", "filtered", "filtered_fields"),
    )
    for title, of, units in fields:
        head = ("recipe", "synthetic", *(h for f in HEADS for h in (f, "above 0 % [95 %]")))
        rows = [
            [
                _mark(arm, chosen) + _name(arm[0]),
                f"{arm[1]} %",
                *_figures(cells, arms.get((REAL, 0), ()), of, units, draws),
            ]
            for arm, cells in ordered(arms)
        ]
        parts.append(f"<h3>{title}</h3>{table_html(Table('', head, rows))}")
    return "".join(parts)


def _figures(
    cells: Sequence[Cell], real: Sequence[Cell], of: Of, units: Fields, draws: int
) -> list[str]:
    found: list[str] = []
    for figure in FIGURES:
        found.append(_text(over_seeds(cells, figure, of)))
        same = cells and cells[0].arm == (REAL, 0)
        found.append("" if same else _text(difference(cells, real, figure, units, draws=draws)))
    return found


def theirs(results: Results, draws: int) -> str:
    """In which direction the thesis's segmenter moved, marked as theirs."""
    told = results.content.get("thesis", {}).get("segmentation", {})
    arms = by_arm(results.cells, "test")
    chosen = results.content.get("chosen")
    ours = arms.get((chosen["recipe"], chosen["ratio"]), ()) if chosen else ()
    plain = arms.get(("plain", 100), ())
    rows = []
    for figure, name in zip(FIGURES, HEADS, strict=True):
        found = [
            difference(of, arms.get((REAL, 0), ()), figure, draws=draws) for of in (plain, ours)
        ]
        rows.append([name, *map(_moved, found), told.get(figure, "")])
    head = ("figure", "plain inpainting, 100 %", "chosen recipe", "thesis (theirs)")
    return table_html(Table("", head, rows))


def _moved(value: Difference | None) -> str:
    if value is None:
        return NOTHING
    if value.rose or value.fell:
        return f"{'rose' if value.rose else 'fell'} ({value.interval.value:+.3f})"
    return f"{value.interval.value:+.3f}, {unsure(value)}"


def case_table(results: Results, split: Split) -> str:
    """Dice, precision and recall of every case."""
    arms = by_arm(results.cells, split)
    cases = sorted({case for of in arms.values() for cell in of for case in cell.cases})
    head = ("recipe", "synthetic", *(f"{case}: {figure}" for case in cases for figure in HEADS))
    rows = [
        [
            _name(arm[0]),
            f"{arm[1]} %",
            *(_text(over_seeds(of, f, "cases", case)) for case in cases for f in FIGURES),
        ]
        for arm, of in ordered(arms)
    ]
    return table_html(Table("", head, rows))


def object_table(results: Results, split: Split) -> str:
    """Found, invented and missed objects: their F1 (Dice of counts), precision and recall."""
    arms = by_arm(results.cells, split)
    rows = [
        [_name(arm[0]), f"{arm[1]} %", *(_text(over_seeds(of, f, "objects")) for f in FIGURES)]
        for arm, of in ordered(arms)
        if all(cell.objects for cell in of)
    ]
    if not rows:
        return ""
    return table_html(Table("", ("recipe", "synthetic", "F1", "precision", "recall"), rows))


def ratio_plots(results: Results, split: Split) -> str:
    """Each figure against the ratio, a line a recipe; all of them start at real tissue alone."""
    arms = by_arm(results.cells, split)
    recipes = [r for r in in_order({arm[0] for arm in arms}) if r != REAL]
    colours = colours_of(recipes)
    parts = [legend({_name(r): colours[r] for r in recipes})]
    ways: tuple[tuple[str, Of], ...] = (("", "cases"), (", filtered", "filtered"))
    for title, of in ways:
        for figure, name in zip(FIGURES, HEADS, strict=True):
            series = {r: _points(arms, r, figure, of) for r in recipes}
            parts.append(against_ratio(f"{name}{title}", series, colours))
    return f'<div class="plots">{"".join(parts)}</div>'


def _points(arms: Arms, recipe: str, figure: str, of: Of) -> Points:
    found: list[tuple[float, Sequence[float]]] = []
    for (name, ratio), cells in sorted(arms.items(), key=lambda item: item[0][1]):
        if name in (REAL, recipe) and (value := over_seeds(cells, figure, of)):
            found.append((ratio, value.values))
    return found


def curves(results: Results, split: Split) -> str:
    """Precision-recall curves of each seed, and the areas under them."""
    arms = {arm: of for arm, of in by_arm(results.cells, split).items() if any(c.curve for c in of)}
    if not arms:
        return '<p class="note">There are no counts at several thresholds.</p>'
    names = {arm: f"{_name(arm[0])}, {arm[1]} %" for arm, _ in ordered(arms)}
    colours = colours_of(list(names.values()))
    lines = {
        name: [[(p.recall, p.precision) for p in curve(cell)] for cell in arms[arm]]
        for arm, name in names.items()
    }
    rows = [[name, _text(area_under_curve(arms[arm]))] for arm, name in names.items()]
    if (guessing := area_of_guessing([cell for of in arms.values() for cell in of])) is not None:
        rows.append(["guessing (share of vessel pixels)", f"{guessing:.3f}"])
    table = table_html(Table("", ("segmenter", "area under the curve"), rows))
    plot = precision_recall("precision against recall", lines, colours)
    return f'{legend(colours)}<div class="side">{plot}{table}</div>'


def ordered(arms: Mapping[Arm, Any]) -> list[tuple[Arm, Any]]:
    """Arms in the order of the recipes, then by ratio."""
    order = in_order({arm[0] for arm in arms})
    return sorted(arms.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))


def _name(recipe: str) -> str:
    return RECIPES.get(recipe, recipe)


def _mark(arm: Arm, chosen: Mapping[str, Any] | None) -> str:
    return "▸ " if chosen and arm == (chosen["recipe"], chosen["ratio"]) else ""


def _text(value: Spread | Difference | None) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, Difference) and math.isinf(value.spread):
        return f"{value}, one seed"
    return str(value)
