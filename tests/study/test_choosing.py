"""The recipe and its ratio are chosen on validation, and on nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_histoaug.study.cells import parse_cell, read_cells
from napari_histoaug.study.choosing import choose, choose_recipe, write_choice
from napari_histoaug.study.errors import StudyError

from .conftest import record, write_scores


def test_the_highest_validation_dice_wins_whatever_the_test_says(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_scores(tmp_path, record("real", 0, seed, "validation"))
        write_scores(tmp_path, record("plain", 100, seed, "validation", gain=1))
        write_scores(tmp_path, record("donor", 100, seed, "validation", gain=8))
    first = json.loads(write_choice(tmp_path).read_text())
    assert (first["recipe"], first["ratio"]) == ("donor", 100)
    # dice of seed s: tp = 12 (60 + s + 8) - 66, fp = 12 * 30 - 66, fn = 1200 - tp
    tp = [12 * (68 + s) - 66 for s in (0, 1)]
    expected = [2 * n / (n + 1200 + 12 * 30 - 66) for n in tp]
    assert first["validation"]["donor-100"]["values"] == pytest.approx(expected, rel=1e-12)
    for seed in (0, 1):
        write_scores(tmp_path, record("plain", 100, seed, "test", gain=40))
        write_scores(tmp_path, record("donor", 100, seed, "test", gain=-40))
    assert json.loads(write_choice(tmp_path).read_text()) == first


def test_test_scores_are_refused() -> None:
    cells = [parse_cell(record("donor", 100, 0, split), "a") for split in ("validation", "test")]
    with pytest.raises(StudyError, match="validation scores only"):
        choose(cells)


def test_a_choice_after_looking_is_refused(tmp_path: Path) -> None:
    for split in ("validation", "test"):
        write_scores(tmp_path, record("donor", 100, 0, split))
    with pytest.raises(StudyError, match="scored before this choice"):
        write_choice(tmp_path)
    assert not (tmp_path / "chosen.json").exists()


def test_an_arm_with_fewer_seeds_is_not_considered(run: Path) -> None:
    write_scores(run, record("selection", 100, 0, "validation", gain=30))
    choice = choose_recipe(run)
    assert choice.recipe == "donor"
    assert "1 with fewer seeds was not considered" in choice.why


def test_of_equals_fewer_pairs_are_taken() -> None:
    cells = [parse_cell(record("plain", ratio, 0, "validation"), "a") for ratio in (200, 50, 100)]
    assert choose(cells).ratio == 50
    assert choose(cells, ratio=100).ratio == 100


def test_nothing_to_choose_from_is_a_sentence(tmp_path: Path) -> None:
    write_scores(tmp_path, record("real", 0, 0, "validation"))
    with pytest.raises(StudyError, match="No segmenter taught with synthetic pairs at 100 %"):
        choose_recipe(tmp_path)


def test_scores_in_the_wrong_folder_are_refused(run: Path) -> None:
    path = run / "cells" / "donor-100-0" / "scores-test.json"
    path.write_text(json.dumps(record("real", 0, 0, "test")))
    with pytest.raises(StudyError, match=r"donor-100-0/scores-test.json holds the test scores"):
        read_cells(run, "test")
    path.write_text("{")
    with pytest.raises(StudyError, match="cannot be read"):
        read_cells(run, "test")


def test_fields_that_do_not_add_up_are_refused() -> None:
    scores = record("real", 0, 0, "test")
    scores["cases"]["left"]["tp"] += 1
    with pytest.raises(StudyError, match="do not add up"):
        parse_cell(scores, "scores-test.json")
    del scores["cases"]
    with pytest.raises(StudyError, match="not valid at cases"):
        parse_cell(scores, "scores-test.json")
