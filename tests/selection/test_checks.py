"""Agreement, realism and copies, on pairs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.selection import (
    agreement,
    hole_crop,
    made_region,
    nearest_likeness,
    realism,
    share_left,
)


@pytest.fixture
def labels() -> np.ndarray:
    """A painted square of 10 px in a rim of 2 px, and a real vessel in the corner."""
    found = np.zeros((40, 40), np.uint8)
    found[8:22, 8:22] = 128
    found[10:20, 10:20] = 1
    found[30:40, 30:40] = 1
    return found


def test_only_what_was_made_is_compared(labels: np.ndarray) -> None:
    assert made_region(labels).sum() == 14 * 14
    half = np.zeros(labels.shape, bool)
    half[10:15, 10:20] = True
    assert agreement(half, labels) == pytest.approx(2 * 50 / (50 + 100))
    # A real vessel that was missed, and a false alarm elsewhere, say nothing of the pair.
    half[0:5, 30:] = True
    assert agreement(half, labels) == pytest.approx(2 * 50 / (50 + 100))
    assert agreement(np.zeros_like(half), labels) == 0


def test_what_is_left_of_a_removed_vessel(labels: np.ndarray) -> None:
    labels[10:20, 10:20] = 0
    found = np.zeros(labels.shape, bool)
    found[10:14, 10:20] = True
    assert share_left(found, labels) == pytest.approx(0.4)


def test_a_crop_shows_the_hole_in_its_middle() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:50, 60:70] = 255
    hole = image[..., 0] > 0
    crop = hole_crop(image, hole, 32)
    assert crop.shape == (32, 32, 3)
    rows, columns = np.nonzero(crop[..., 0])
    assert abs(rows.mean() - 15.5) <= 1
    assert abs(columns.mean() - 15.5) <= 1
    hole[:] = False
    hole[0:100, 0:90] = True
    assert hole_crop(image, hole, 32).shape == (32, 32, 3)


def test_a_turned_copy_is_found_and_another_picture_is_not() -> None:
    rng = np.random.default_rng(0)
    taught = rng.integers(0, 255, (6, 16, 16, 3), dtype=np.uint8).repeat(2, 1).repeat(2, 2)
    copy = np.rot90(taught[3], 3)[:, ::-1]
    darker = (copy * 0.6 + 20).astype(np.uint8)
    other = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    likeness = nearest_likeness(np.stack([copy, darker, other]), taught)
    assert likeness[0] == pytest.approx(1, abs=1e-5)
    assert likeness[1] > 0.99
    assert likeness[2] < 0.5
    assert nearest_likeness(taught, taught[:0]).tolist() == [-1] * 6


def test_what_looks_unreal_is_told_from_what_does_not() -> None:
    rng = np.random.default_rng(1)
    real = rng.integers(100, 160, (40, 32, 32, 3), dtype=np.uint8)
    good = rng.integers(100, 160, (10, 32, 32, 3), dtype=np.uint8)
    bad = rng.integers(100, 160, (30, 32, 32, 3), dtype=np.uint8)
    bad[..., 0] += 60
    judged = realism(np.concatenate([good, bad]), real, steps=60, seed=0)
    assert judged[:10].min() > judged[10:].max()
    again = realism(np.concatenate([good, bad]), real, steps=60, seed=0)
    assert np.array_equal(judged, again)
