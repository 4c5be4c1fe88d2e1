"""The report says what the cells say, and what is not there."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from napari_histoaug.metrics import Confusion, Interval
from napari_histoaug.study.choosing import write_choice
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.page import write_page
from napari_histoaug.study.pictures import (
    Judged,
    error_pictures,
    errors_on,
    sample_pictures,
    shown_fields,
)
from napari_histoaug.study.report import write_report
from napari_histoaug.study.results import collect, read_results
from napari_histoaug.study.statistics import Difference
from napari_histoaug.study.verdict import decide, judge, unsure

from .conftest import record, write_scores

DRAWS = 100


def test_printed_figures_are_recomputed_from_the_cells(run: Path) -> None:
    write_choice(run)
    results = read_results(collect(run))
    text = write_page(run / "report" / "index.html", results, draws=DRAWS).read_text()
    # by hand, from the records alone
    cells = json.loads((run / "results.json").read_text())["cells"]
    for recipe, ratio in {(c["recipe"], c["ratio"]) for c in cells}:
        for of in ("cases", "filtered"):
            values = []
            for c in cells:
                if (c["recipe"], c["ratio"], c["split"]) == (recipe, ratio, "test"):
                    tp, fp, fn = (sum(k[n] for k in c[of].values()) for n in ("tp", "fp", "fn"))
                    values.append(2 * tp / (2 * tp + fp + fn))
            assert f"<td>{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}</td>" in text
    # recall rises by 10 px of 100 in every field
    assert "+0.100 [+0.100, +0.100]" in text
    assert "<td>500 steps, 4.1 min</td>" in text
    assert "Augmentation helped: with 100 % synthetic pairs made by “donor”" in text


def test_results_hold_what_the_run_holds(run: Path) -> None:
    write_choice(run)
    content = json.loads(collect(run).read_text())
    assert len(content["cells"]) == 24
    assert content["chosen"]["recipe"] == "donor"
    assert content["class_share"] == {"donor": 0.25, "plain": 0.25, "real": 0.08}
    assert content["pairs"] == {"donor": 2, "plain": 2, "real": 100}
    assert content["dropped"]["plain"] == {"copy": 1, "agreement": 4}
    assert content["costs"]["pools"] == {
        "seconds": 40.0,
        "processor_seconds": 60.0,
        "count": 4,
        "runs": 2,
        "device": "cpu",
    }
    assert content["data"]["splits"] == {"train": 1, "validation": 1, "test": 1}
    assert "secret" not in (run / "results.json").read_text()


def test_a_report_can_be_kept_elsewhere(run: Path, tmp_path: Path) -> None:
    def look(cell: str, field: str) -> Judged:
        mask = np.eye(32, dtype=bool)
        return Judged(np.full((32, 32, 3), 128, np.uint8), mask, mask, np.ones_like(mask))

    page = write_report(run, tmp_path / "kept", look, draws=20)
    assert page == tmp_path / "kept" / "report" / "index.html"
    kept = json.loads((tmp_path / "kept" / "results.json").read_text())
    assert kept == json.loads((run / "results.json").read_text())
    # nine pictures of right and wrong, one of each pool
    assert page.read_text().count("<img") == 11


def test_what_a_run_lacks_is_named(run: Path) -> None:
    for path in run.glob("cells/*/scores-test.json"):
        path.unlink()
    (run / "chosen.json").unlink()
    (run / "cells" / "donor-50-2" / "scores-validation.json").unlink()
    (run / "cells" / "donor-200-0.part").mkdir()
    results = read_results(collect(run))
    assert results.missing[:4] == [
        "validation scores of donor at 50 %, seed 2",
        "test scores of every segmenter",
        "any scores of the segmenter donor-50-2",
        "a recipe and ratio chosen on validation",
    ]
    text = write_page(run / "index.html", results, draws=DRAWS).read_text()
    for name in results.missing:
        assert f"<li>{name}</li>" in text
    assert "cannot-tell" in text


def test_a_folder_without_scores_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no scores"):
        collect(tmp_path)


def test_the_page_needs_nothing_else_and_names_no_folder(run: Path) -> None:
    write_choice(run)
    samples = sample_pictures(run / "pools")
    text = write_page(
        run / "index.html", read_results(collect(run)), samples=samples, draws=DRAWS
    ).read_text()
    assert re.findall(r'(?:src|href)="(?!#|data:)', text) == []
    assert "secret" not in text
    assert "(c) The Makers &amp; Sons" in text
    # theirs are marked, and nothing unknown is filled in
    assert "47.8 IKEM (heart)" in text
    assert "77.4 (IKEM (heart), variant not known here)" in text
    # (8 % + 1 x 25 %) / 2
    assert "<td>16.50%</td>" in text


@pytest.mark.parametrize(
    ("gain", "alarms", "answer"),
    [(10, 0, "helped"), (20, 20, "helped in part"), (-10, 0, "did not help"), (0, 0, None)],
)
def test_the_conclusion_follows_the_numbers(
    tmp_path: Path, gain: int, alarms: int, answer: str | None
) -> None:
    for split in ("validation", "test"):
        for seed in (0, 1, 2):
            write_scores(tmp_path, record("real", 0, seed, split))
            write_scores(tmp_path, record("donor", 100, seed, split, gain=gain, alarms=alarms))
        if split == "validation":
            write_choice(tmp_path)
    results = read_results(collect(tmp_path))
    verdict = judge(results.cells, ("donor", 100), draws=DRAWS)
    assert verdict.answer == (answer or "did not help")  # no change at all excludes a gain
    words = {
        10: "recall rose by 0.100",
        20: "precision fell by",
        -10: "recall fell by 0.100",
        0: "recall changed by +0.000",
    }
    assert words[gain] in verdict.sentence
    assert "12 fields of 2 cases" in verdict.basis
    text = write_page(tmp_path / "index.html", results, draws=DRAWS).read_text()
    assert verdict.sentence in text


def change(value: float, low: float, high: float, spread: float = 0.005) -> Difference:
    return Difference(Interval(value, low, high, 12), spread)


def test_the_rule() -> None:
    up, down = change(0.05, 0.02, 0.08), change(-0.05, -0.08, -0.02)
    unsure, small = change(0.01, -0.02, 0.04), change(0.001, -0.004, 0.006)
    seeds = change(0.05, 0.02, 0.08, spread=0.06)

    def answer(dice: Difference, precision: Difference, recall: Difference) -> str:
        return decide({"dice": dice, "precision": precision, "recall": recall})

    assert answer(up, unsure, up) == "helped"
    assert answer(up, down, up) == "helped in part"
    assert answer(up, up, unsure) == "helped in part"
    assert answer(down, up, up) == "did not help"
    assert answer(small, up, up) == "did not help"
    assert answer(unsure, up, up) == "cannot tell"
    assert answer(seeds, up, up) == "cannot tell"


def test_what_neither_rose_nor_fell_says_why() -> None:
    assert unsure(change(0.01, -0.02, 0.04)) == "which is not told apart from nothing"
    assert unsure(change(0.05, 0.02, 0.08, spread=0.06)) == "which the seeds alone can do"
    assert unsure(change(0.05, 0.02, 0.08, math.inf)) == "from too few seeds to tell"


def test_a_missing_arm_cannot_tell(run: Path) -> None:
    results = read_results(collect(run))
    assert judge(results.cells, ("selection", 100)).answer == "cannot tell"


def test_error_pictures_have_the_counts_colours() -> None:
    truth, found = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    truth[8:40, 8:40], found[24:56, 8:40] = True, True
    known = np.ones((64, 64), bool)
    known[:, 36:] = False
    shown = errors_on(Judged(np.full((64, 64, 3), 200, np.uint8), truth, found, known))
    green, red, blue = shown[32, 20], shown[50, 20], shown[16, 20]
    assert [int(np.argmax(c)) for c in (green, red, blue)] == [1, 0, 2]
    assert shown[32, 38].tolist() == [200, 200, 200]


def test_shown_fields_follow_a_rule_not_looks(run: Path) -> None:
    results = read_results(collect(run))
    looked: list[tuple[str, str]] = []

    def look(cell: str, field: str) -> Judged:
        looked.append((cell, field))
        mask = np.eye(32, dtype=bool)
        return Judged(np.full((32, 32, 3), 128, np.uint8), mask, mask, np.ones_like(mask))

    pictures = error_pictures(results.cells, ("donor", 100), look)
    assert len(pictures) == 9
    assert {cell for cell, _ in looked} == {"real-0-0", "donor-100-0"}
    changes = {}
    real, ours = (
        next(c for c in results.cells if (*c.arm, c.seed, c.split) == (*a, 0, "test"))
        for a in (("real", 0), ("donor", 100))
    )
    for name, counts in ours.fields.items():
        assert isinstance(counts, Confusion)
        changes[name] = counts.dice - real.fields[name].dice  # type: ignore[operator]
    shown = shown_fields(results.cells, ("donor", 100), 0)
    assert shown["rose most"] == max(changes, key=lambda n: (changes[n], n))
    assert shown["rose least or fell"] == min(changes, key=lambda n: (changes[n], n))
