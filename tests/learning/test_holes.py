"""What a training example asks for."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_histoaug.learning.holes import align_to_cells, soft_labels, training_hole
from napari_histoaug.models import pool_labels


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 8]))
def test_aligned_holes_are_whole_cells_and_lose_no_pixel(seed: int, cell: int) -> None:
    hole = np.random.default_rng(seed).random((32, 48)) < 0.03
    grown = align_to_cells(hole, cell)
    blocks = grown.reshape(32 // cell, cell, 48 // cell, cell)
    assert (grown | ~hole).all()
    assert (blocks.all((1, 3)) == blocks.any((1, 3))).all()
    assert blocks.any((1, 3)).sum() <= hole.sum()


def test_soft_labels_say_nothing_outside_the_hole() -> None:
    labels = np.array([[0, 1, 1, 0]], np.uint8)
    hole = np.array([[True, True, False, False]])
    said = soft_labels(labels, hole, classes=1, drop=False)
    assert said[:, 0].T.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    dropped = soft_labels(labels, hole, classes=1, drop=True)
    assert dropped[:, 0].T.tolist() == [[0, 0, 1]] * 4


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 8, 16]), st.booleans())
def test_soft_labels_of_cells_are_those_of_pixels_pooled(
    seed: int, factor: int, drop: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (32, 48)).astype(np.uint8)
    hole = align_to_cells(rng.random((32, 48)) < 0.01, factor)
    fine = torch.from_numpy(soft_labels(labels, hole, 3, drop=drop))[None]
    said = soft_labels(labels, hole, 3, drop=drop, factor=factor)
    assert torch.equal(torch.from_numpy(said), pool_labels(fine, 32 // factor, 48 // factor)[0])


def test_full_share_decides_how_often_nothing_is_known() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((32, 32), np.uint8)
    full = [training_hole(rng, labels, 4, 0.5).all() for _ in range(200)]
    assert 70 < sum(full) < 130
    assert training_hole(rng, labels, 4, 1.0).all()
    assert not training_hole(rng, labels, 4, 0.0).all()
