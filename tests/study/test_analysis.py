"""What lies behind an answer is counted, not told."""

from __future__ import annotations

import pytest

from napari_histoaug.study.analysis import WITHIN, analysis, field_changes
from napari_histoaug.study.cells import parse_cell

from .conftest import record


def test_sentences_follow_the_counts() -> None:
    cells = [
        parse_cell(record(recipe, ratio, seed, split, gain=gain), "a")
        for recipe, ratio, gain in (("real", 0, 0), ("donor", 100, 10))
        for seed in (0, 1)
        for split in ("validation", "test")
    ]
    said = analysis(cells, ("donor", 100), draws=50)
    assert len(said) == 6
    assert "rose in 12 and fell in 0 of 12 fields" in said[0]
    assert said[1].startswith("Dice by case: left +0.0")
    assert WITHIN not in said[1]
    assert "Thresholds chosen on validation: 0.5, 0.5; for real tissue alone 0.5, 0.5." in said[3]
    # 10 px more of 100 are found in each of 12 fields, whatever the seed
    assert "; recall +0.100, +0.100. Cells of a seed" in said[4]
    ours, real = (
        [c for c in cells if c.recipe == r and c.split == "test"] for r in ("donor", "real")
    )
    # first field: tp 60, fp 30, fn 40 and one more px found with the other seed
    dice = [2 * tp / (tp + 30 + 100) for tp in (60, 61, 70, 71)]
    expected = sum(dice[2:]) / 2 - sum(dice[:2]) / 2
    assert field_changes(ours, real)["left_x0_y0"] == pytest.approx(expected, rel=1e-12)


def test_a_change_within_the_seeds_is_called_so() -> None:
    cells = [
        parse_cell(record(recipe, ratio, seed, "test"), "a")
        for recipe, ratio in (("real", 0), ("donor", 100))
        for seed in (0, 1)
    ]
    said = analysis(cells, ("donor", 100), draws=50)
    assert WITHIN in said[1]
    assert said[4].startswith("Seed by seed: dice +0.000, +0.000; precision +0.000, +0.000;")
    assert len(said) == 5  # nothing about validation, which is not there
    assert analysis(cells, ("plain", 100)) == []
