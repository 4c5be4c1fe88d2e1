"""Painted pieces, found chunk by chunk, against one labelling of the whole mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_histoaug.masks.chunk_files import CHUNK
from napari_histoaug.masks.pieces import FrozenMask
from napari_histoaug.masks.store import MaskStore

SHAPE = (1600, 1700)


def frozen(tmp_path, mask, value=1):
    store = MaskStore(tmp_path / "painted.zarr", SHAPE, ("a", "b"))
    store.write(0, (0, 0, *SHAPE), mask.astype(np.uint8), mask > 0)
    return FrozenMask.of(store, value)


def test_pieces_are_those_of_the_whole_mask(tmp_path):
    random = np.random.default_rng(1)
    noise = ndimage.gaussian_filter(random.normal(size=SHAPE), 12)
    mask = (noise > np.quantile(noise, 0.8)).astype(np.uint8)
    found = frozen(tmp_path, mask)
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    expected = sorted(
        (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        for rows, columns in ndimage.find_objects(parts)
    )
    assert count > 50
    assert found.boxes() == expected
    box = (400, 450, 700, 300)
    np.testing.assert_array_equal(found.fill(box), mask[400:1100, 450:750] > 0)


def test_pieces_that_touch_at_the_corner_of_chunks_are_one(tmp_path):
    for flip in (False, True):
        mask = np.zeros(SHAPE, np.uint8)
        mask[CHUNK - 5 : CHUNK, CHUNK - 5 : CHUNK] = mask[CHUNK : CHUNK + 5, CHUNK : CHUNK + 5] = 1
        if flip:
            mask[:, : 2 * CHUNK] = mask[:, : 2 * CHUNK][:, ::-1].copy()
        folder = tmp_path / str(flip)
        assert frozen(folder, mask).boxes() == [(CHUNK - 5, CHUNK - 5, 10, 10)]


def test_a_class_is_frozen_alone_and_later_strokes_do_not_matter(tmp_path):
    store = MaskStore(tmp_path / "painted.zarr", SHAPE, ("a", "b"))
    for value in (1, 2):
        patch = np.full((10, 10), value, np.uint8)
        store.write(0, (100, 100 * value, 10, 10), patch, patch > 0)
    found = FrozenMask.of(store, 2)
    patch = np.full((10, 10), 2, np.uint8)
    store.write(0, (900, 900, 10, 10), patch, patch > 0)
    assert found.boxes() == [(100, 200, 10, 10)]
    # beyond the slide there is nothing
    assert found.fill((-50, 150, 300, 100)).sum() == 100
