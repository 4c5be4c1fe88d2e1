"""Counts, figures and matched objects, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histoaug.metrics import (
    Confusion,
    MetricError,
    bootstrap,
    cohen_kappa,
    confusion,
    confusion_by_class,
    label_objects,
    match_objects,
    mean_over,
    pooled,
    summary,
)


def test_counts_of_a_small_picture() -> None:
    truth = np.array([[1, 1, 0, 0], [0, 2, 0, 0]])
    prediction = np.array([[1, 0, 1, 1], [0, 1, 0, 0]])
    counts = confusion(truth, prediction)
    assert counts == Confusion(tp=2, fp=2, fn=1)
    assert counts.dice == pytest.approx(4 / 7)
    assert counts.iou == pytest.approx(2 / 5)
    assert counts.precision == pytest.approx(1 / 2)
    assert counts.recall == pytest.approx(2 / 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_blocks_add_up_to_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction, valid = rng.random((3, 21, 34)) < rng.random((3, 1, 1))
    parts = [
        confusion(truth[r], prediction[r], valid[r])
        for r in (slice(0, 8), slice(8, 9), slice(9, 21))
    ]
    assert sum(parts, Confusion()) == confusion(truth, prediction, valid)
    whole = confusion(truth, prediction)
    assert whole.tp + whole.fn == truth.sum()
    assert whole.tp + whole.fp == prediction.sum()


def test_nothing_to_find_and_nothing_found_is_undefined_not_perfect() -> None:
    nothing = np.zeros((4, 4), bool)
    counts = confusion(nothing, nothing)
    assert counts.dice is counts.iou is counts.precision is counts.recall is None
    assert confusion(nothing, ~nothing).precision == 0
    assert confusion(nothing, ~nothing).recall is None


def test_kappa_of_cohens_two_annotators() -> None:
    # 20 yes/yes, 15 no/no, 5 and 10 disputed: agreed 0.7, by chance 0.5
    counts = Confusion(tp=20, fp=10, fn=5)
    assert cohen_kappa(counts, 50) == pytest.approx(0.4)
    assert cohen_kappa(Confusion(tp=3), 9) == 1
    assert cohen_kappa(Confusion(), 9) is None
    assert cohen_kappa(Confusion(tp=1, fp=1, fn=1), 4) == pytest.approx(0)
    with pytest.raises(MetricError, match="fewer"):
        cohen_kappa(counts, 34)


def test_what_is_not_valid_counts_neither_way() -> None:
    truth, prediction = np.ones((3, 3), bool), np.zeros((3, 3), bool)
    valid = np.eye(3, dtype=bool)
    assert confusion(truth, prediction, valid) == Confusion(fn=3)


def test_classes_count_against_all_others() -> None:
    truth, prediction = np.array([[0, 1, 2, 2]]), np.array([[1, 1, 1, 2]])
    found = confusion_by_class(truth, prediction, [1, 2])
    assert found == {1: Confusion(1, 2, 0), 2: Confusion(1, 0, 1)}


@pytest.mark.parametrize(
    ("truth", "prediction", "said"),
    [
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool), "one grid"),
        (np.zeros((2, 2)), np.zeros((2, 2), bool), "whole numbers"),
    ],
)
def test_masks_that_do_not_fit_are_refused(truth, prediction, said) -> None:
    with pytest.raises(MetricError, match=said):
        confusion(truth, prediction)


def test_objects_are_matched_by_their_overlap() -> None:
    truth, prediction = np.zeros((2, 12, 30), np.uint8)
    truth[1:6, 1:6] = 1
    truth[1:6, 10:15] = 1
    truth[8:11, 1:4] = 1
    prediction[1:6, 2:7] = 1  # 20 of 30
    prediction[1:3, 10:12] = 1  # 4 of 25: too little
    matching = match_objects(label_objects(truth), label_objects(prediction))
    assert [iou for *_, iou in matching.pairs] == [pytest.approx(20 / 30)]
    assert matching.counts == Confusion(tp=1, fp=1, fn=2)


def test_matching_ignores_gaps_in_numbering_and_takes_the_best_partner() -> None:
    truth = np.array([[0, 7, 7, 7, 7, 0]])
    prediction = np.array([[0, 3, 9, 9, 9, 0]])
    matching = match_objects(truth, prediction, least_iou=0.2)
    assert matching.pairs == ((7, 9, pytest.approx(0.75)),)
    assert matching.invented == (3,)


def test_no_objects_match_nothing() -> None:
    nothing = np.zeros((5, 5), int)
    assert match_objects(nothing, nothing).counts == Confusion()
    assert match_objects(nothing, nothing + 1).counts == Confusion(fp=1)


def test_pooled_and_per_slide_means_differ_as_they_should() -> None:
    counts = [Confusion(90, 10, 0), Confusion(0, 0, 10), Confusion()]
    assert pooled(counts, "dice") == pytest.approx(180 / 200)
    assert mean_over(counts, "dice") == pytest.approx((180 / 190 + 0) / 2)
    assert mean_over([Confusion()], "dice") is None


def test_bootstrap_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    interval = bootstrap([[v] for v in values], lambda drawn: float(np.mean(drawn)))
    assert interval is not None
    assert interval.value == pytest.approx(values.mean())
    wide = 2 * 1.96 * values.std() / np.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(wide, rel=0.15)


def test_slides_of_one_patient_are_drawn_together() -> None:
    # One patient: nothing can vary, however many slides there are.
    counts = [Confusion(5, 1, 2), Confusion(1, 5, 2), Confusion(3, 3, 3)]
    report = summary({"one": counts}, draws=50)
    dice = report["pooled"]["dice"]
    assert dice is not None
    assert dice.low == dice.high == dice.value
    assert dice.groups == 1


def test_nothing_to_resample_is_said() -> None:
    with pytest.raises(MetricError, match="no patient"):
        bootstrap([], lambda items: 0.0)
