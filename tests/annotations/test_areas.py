"""Summed-area tables against plain counting."""

import numpy as np
import pytest

from napari_histoaug.annotations import SummedAreas

LABELS = np.random.default_rng(3).integers(0, 5, (61, 83), dtype=np.uint8)


def counted(labels: np.ndarray, classes: int, box: tuple[int, int, int, int]) -> list[int]:
    y, x, height, width = box
    part = labels[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    return [int((part == value).sum()) for value in range(1, classes + 1)]


def test_random_rectangles_count_as_slicing_does() -> None:
    areas = SummedAreas.from_labels(LABELS, 3)
    rng = np.random.default_rng(4)
    boxes = np.column_stack([rng.integers(-30, 90, (400, 2)), rng.integers(0, 70, (400, 2))])
    found = areas.counts(*boxes.T)
    assert found.shape == (3, 400)
    assert found.dtype == np.int64
    for box, counts in zip(boxes.tolist(), found.T.tolist(), strict=True):
        assert counts == counted(LABELS, 3, tuple(box)), box


def test_one_rectangle_a_grid_of_them_and_the_whole() -> None:
    areas = SummedAreas.from_labels(LABELS, 4)
    assert len(areas) == 4
    assert areas.counts(5, 6, 7, 8).tolist() == counted(LABELS, 4, (5, 6, 7, 8))
    grid = areas.counts(np.arange(0, 61, 16)[:, None], np.arange(0, 83, 16)[None], 16, 16)
    assert grid.shape == (4, 4, 6)
    np.testing.assert_array_equal(grid.sum(axis=(1, 2)), areas.totals())
    assert areas.totals().tolist() == counted(LABELS, 4, (0, 0, 61, 83))


def test_classes_that_overlap_are_counted_each() -> None:
    masks = np.stack([LABELS > 0, LABELS > 2])
    areas = SummedAreas(masks)
    np.testing.assert_array_equal(areas.totals(), masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(
        areas.counts(10, 20, 30, 40), masks[:, 10:40, 20:60].sum(axis=(1, 2))
    )


def test_sums_that_wrap_still_count_exactly() -> None:
    areas = SummedAreas(np.ones((1, 40, 50), bool))
    areas._tables += np.uint32(2**32 - 700)  # as if 2**32 - 700 pixels lay above and left
    assert areas.counts(3, 4, 30, 41).tolist() == [30 * 41]


def test_empty_masks_and_wrong_shapes() -> None:
    assert SummedAreas(np.zeros((2, 0, 9), bool)).counts(0, 0, 5, 5).tolist() == [0, 0]
    with pytest.raises(ValueError, match="height, width"):
        SummedAreas(np.zeros((4, 4), bool))
