"""Error maps: every pixel counted once, and no error lost from sight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histoaug.metrics import confusion
from napari_histoaug.segmentation import Outcome, SegmentationError, error_map
from napari_histoaug.segmentation.error_map import COLOURS, coarser, pyramid


def masks(seed: int, shape: tuple[int, int] = (37, 52)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.random((3, *shape)) < 0.4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_map_holds_what_the_counts_say(seed: int) -> None:
    truth, prediction, valid = masks(seed)
    found = np.bincount(error_map(truth, prediction, valid).ravel(), minlength=4)
    counts = confusion(truth, prediction, valid)
    assert tuple(found[1:]) == (counts.tp, counts.fp, counts.fn)


def test_no_error_is_voted_away_at_low_zoom() -> None:
    outcomes = np.full((2048, 2048), Outcome.TRUE_POSITIVE, np.uint8)
    outcomes[777, 333] = Outcome.FALSE_NEGATIVE
    outcomes[1500, 1200] = Outcome.FALSE_POSITIVE
    last = pyramid(outcomes, smallest=64)[-1]
    assert last.shape == (64, 64)
    assert last[777 // 32, 333 // 32] == Outcome.FALSE_NEGATIVE
    assert last[1500 // 32, 1200 // 32] == Outcome.FALSE_POSITIVE


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ([0, 0, 0, 0], 0),
        ([1, 0, 0, 0], 1),
        ([1, 1, 1, 2], 2),
        ([2, 2, 3, 1], 2),
        ([2, 3, 1, 0], 3),
        ([3, 3, 2, 2], 3),
    ],
)
def test_the_more_frequent_error_wins(cell, expected) -> None:
    assert coarser(np.array(cell, np.uint8).reshape(2, 2)).item() == expected


def test_odd_sides_keep_their_last_row_and_column() -> None:
    outcomes = np.zeros((5, 3), np.uint8)
    outcomes[4, 2] = Outcome.FALSE_NEGATIVE
    assert coarser(outcomes).shape == (3, 2)
    assert coarser(outcomes)[2, 1] == Outcome.FALSE_NEGATIVE


def test_every_palette_colours_every_outcome() -> None:
    for palette in COLOURS.values():
        assert set(palette) == set(Outcome) - {Outcome.NOTHING}
        assert len(set(palette.values())) == 3


def test_masks_of_different_size_are_refused() -> None:
    with pytest.raises(SegmentationError, match="one grid"):
        error_map(np.zeros((3, 3), bool), np.zeros((3, 4), bool))
