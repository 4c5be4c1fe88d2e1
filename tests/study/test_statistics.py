"""Figures of counts against closed forms, the bootstrap against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_histoaug.metrics import Confusion
from napari_histoaug.study.cells import Cell, parse_cell
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.statistics import (
    area_of_guessing,
    area_under_curve,
    curve,
    difference,
    over_seeds,
    spread,
)

from .conftest import record


def cells(recipe: str, ratio: int, seeds: tuple[int, ...] = (0, 1, 2), **more: int) -> list[Cell]:
    return [parse_cell(record(recipe, ratio, seed, "test", **more), "a") for seed in seeds]


def test_a_spread_is_mean_and_sample_deviation() -> None:
    found = spread([0.1, 0.3, 0.5])
    assert found is not None
    assert (found.mean, found.deviation) == (pytest.approx(0.3), pytest.approx(0.2))
    assert str(found) == "0.300 ± 0.200"
    assert str(spread([0.25])) == "0.250"
    assert spread([]) is None


def test_figures_are_those_of_counts_added_up_over_cases() -> None:
    found = over_seeds(cells("real", 0), "recall")
    assert found is not None
    # recall of seed s: (12 (60 + s) - 66) of 1200 px
    expected = [(12 * (60 + s) - 66) / 1200 for s in (0, 1, 2)]
    assert found.values == pytest.approx(expected, rel=1e-12)
    left = over_seeds(cells("real", 0), "precision", case="left")
    tp, fp = 6 * 60 - 15, 6 * 30 - 15
    assert left is not None
    assert left.values[0] == pytest.approx(tp / (tp + fp), rel=1e-12)


def test_an_undefined_figure_is_left_out() -> None:
    empty = Cell(recipe="real", ratio=0, seed=0, split="test", cases={"a": Confusion()})
    assert over_seeds([empty], "dice") is None
    assert (
        over_seeds([empty, cells("real", 0)[1]], "dice").values
        == over_seeds(  # type: ignore[union-attr]
            [cells("real", 0)[1]], "dice"
        ).values
    )  # type: ignore[union-attr]


def test_an_arm_compared_with_itself_differs_by_nothing() -> None:
    real = cells("real", 0)
    found = difference(real, real, "dice", draws=100)
    assert found is not None
    assert (found.interval.value, found.interval.low, found.interval.high) == (0, 0, 0)
    assert not found.rose
    assert not found.fell


def test_the_interval_of_a_constant_gain_has_no_width() -> None:
    """Every field gains 10 of 100 px: recall rises by exactly 0.1 whichever fields are drawn."""
    found = difference(cells("donor", 100, gain=10), cells("real", 0), "recall", draws=200)
    assert found is not None
    i = found.interval
    assert (i.value, i.low, i.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-12)
    assert i.groups == 12
    # deviation over seeds of both arms: 0.01 each
    assert found.spread == pytest.approx(math.hypot(0.01, 0.01), rel=1e-9)
    assert found.rose
    lost = difference(cells("real", 0), cells("donor", 100, gain=10), "recall", draws=200)
    assert lost is not None
    assert lost.fell


def test_the_bootstrap_is_reproducible_and_pairs_the_fields() -> None:
    ours, real = cells("donor", 100, gain=3, alarms=2), cells("real", 0)
    first, again, other = (
        difference(ours, real, "dice", draws=300, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first is not None
    assert other is not None
    assert first.interval.value == other.interval.value
    assert first.interval != other.interval
    # the same by hand, for one draw of fields
    rng = np.random.default_rng(0)
    drawn = rng.integers(12, size=12)
    one = difference(ours, real, "dice", draws=1, seed=0)
    means = []
    for arm in (ours, real):
        values = []
        for cell in arm:
            names = sorted(cell.fields)
            values.append(sum((cell.fields[names[i]] for i in drawn), Confusion()).dice)
        means.append(np.mean(values))
    assert one is not None
    assert one.interval.low == pytest.approx(means[0] - means[1], rel=1e-12)


def test_a_gain_within_the_seeds_spread_is_none() -> None:
    """+0.01 in every field, but seeds alone make such a difference vary by 0.014."""
    found = difference(cells("donor", 100, gain=1), cells("real", 0), "recall", draws=200)
    assert found is not None
    assert found.interval.low > 0
    assert not found.rose


def test_a_single_seed_proves_nothing() -> None:
    one = difference(cells("donor", 100, (0,), gain=20), cells("real", 0, (0,)), "dice", draws=100)
    assert one is not None
    assert one.interval.low > 0
    assert one.spread == math.inf
    assert not one.rose


def test_other_fields_are_refused() -> None:
    ours = cells("donor", 100)
    fields = dict(ours[0].fields)
    fields["other"] = fields.pop("left_x0_y0")
    ours[0] = ours[0].model_copy(update={"fields": fields})
    with pytest.raises(StudyError, match="different fields"):
        difference(ours, cells("real", 0), "dice", draws=10)


def test_without_fields_there_is_no_interval() -> None:
    bare = [cell.model_copy(update={"fields": {}}) for cell in cells("donor", 100)]
    assert difference(bare, cells("real", 0), "dice") is None
    assert difference([], cells("real", 0), "dice") is None


def test_average_precision_sums_steps() -> None:
    points = [
        {"threshold": 1.0, "tp": 0, "fp": 0, "fn": 100},
        {"threshold": 0.8, "tp": 50, "fp": 0, "fn": 50},
        {"threshold": 0.2, "tp": 80, "fp": 80, "fn": 20},
        {"threshold": 0.0, "tp": 100, "fp": 300, "fn": 0},
    ]
    cell = parse_cell({**record("real", 0, 0, "test"), "curve": points[::-1]}, "a")
    assert [(p.recall, p.precision) for p in curve(cell)] == [(0.5, 1), (0.8, 0.5), (1, 0.25)]
    found = area_under_curve([cell])
    assert found is not None
    assert found.mean == pytest.approx(0.5 * 1 + 0.3 * 0.5 + 0.2 * 0.25)
    assert area_of_guessing([cell]) == 100 / 400
    assert area_of_guessing(cells("real", 0)) is None
