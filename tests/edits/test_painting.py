"""Edits at lower resolutions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.edits import EditStore
from napari_histoaug.slides.pyramid import open_pyramid

SCALES = [(2.0, 2.0), (1.9971509971509972, 2.002217294900222), (3.3, 4.75), (16.0, 16.0)]


def coverage_by_counting(changed, box, downsample, shape):
    """Share of each coarse pixel that is generated, by 40 x 40 points a fine pixel's worth."""
    points = 240
    y = (np.arange(shape[0] * points) + 0.5) / points * downsample[0]
    x = (np.arange(shape[1] * points) + 0.5) / points * downsample[1]
    inside_y = np.clip(np.floor(y).astype(int) - box[0], -1, box[2])
    inside_x = np.clip(np.floor(x).astype(int) - box[1], -1, box[3])
    padded = np.pad(changed, 1)
    fine = padded[inside_y + 1][:, inside_x + 1]
    return fine.reshape(shape[0], points, shape[1], points).mean(axis=(1, 3))


@pytest.mark.parametrize("scale", SCALES)
def test_lower_levels_are_weighted_by_coverage(slide, make_edit, scale):
    box = (7, 11, 30, 26)
    edit = make_edit(box)
    edit.image[:] = (250, 10, 90)
    store = EditStore.open(slide)
    store.accept(*edit.parts)
    shape = (int(50 / scale[0]), int(50 / scale[1]))
    block = np.full((*shape, 3), 200, np.uint8)
    store.paste(block, 0, 0, scale)
    share = coverage_by_counting(edit.changed, box, scale, shape)[..., None]
    expected = 200 * (1 - share) + np.array([250, 10, 90]) * share
    # Sampling 240 points a side leaves 1/240 of coverage a boundary; 190 is the largest contrast.
    assert np.abs(block - expected).max() <= 0.5 + 190 * 2 * (scale[0] + scale[1]) / 240
    assert (block[share[..., 0] == 0] == 200).all()
    assert (block[share[..., 0] > 0.2] != 200).any(axis=-1).all()


def test_a_whole_downsample_is_the_plain_mean(slide, make_edit):
    edit = make_edit((8, 12, 32, 40), 5)
    edit.changed[:] = True
    store = EditStore.open(slide)
    store.accept(*edit.parts)
    block = np.zeros((20, 30, 3), np.uint8)
    store.paste(block, 0, 0, (4.0, 4.0))
    mean = edit.image.reshape(8, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(block[2:10, 3:13] - mean).max() <= 0.501
    block[2:10, 3:13] = 0
    assert not block.any()


@pytest.mark.parametrize("scale", [(1.0, 1.0), *SCALES])
def test_blocks_agree_however_the_read_is_cut(slide, make_edit, scale):
    store = EditStore.open(slide)
    for index, box in enumerate([(101, 203, 150, 121), (180, 250, 90, 140), (171, 190, 33, 91)]):
        store.accept(*make_edit(box, index).parts)
    height, width = int(400 / scale[0]), int(500 / scale[1])
    base = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = base.copy()
    store.paste(whole, -5, -3, scale)
    assert (whole != base).any()
    for step in (13, 50):
        pieces = base.copy()
        for y in range(0, height, step):
            for x in range(0, width, step):
                store.paste(pieces[y : y + step, x : x + step], y - 5, x - 3, scale)
        assert (pieces == whole).all()


def test_the_pyramid_shows_an_edit_at_every_level_after_invalidate(slide, make_edit):
    store = EditStore.open(slide)
    pyramid = open_pyramid(slide, overlay=store)
    plain = [array[:] for array in pyramid.arrays]
    edit = make_edit((301, 403, 200, 221))
    store.accept(*edit.parts)
    pyramid.invalidate(edit.record.box)
    for array, before, (dy, dx) in zip(pyramid.arrays, plain, pyramid.downsamples, strict=True):
        after = array[:]
        differs = (after != before).any(axis=-1)
        rows, columns = np.nonzero(differs)
        assert rows.min() >= int(301 / dy)
        assert rows.max() <= 501 / dy
        assert columns.min() >= int(403 / dx)
        assert columns.max() <= 624 / dx
        assert differs.sum() > 0.95 * edit.changed.sum() / (dy * dx)
    assert (pyramid.arrays[0][:] == store.read_block(slide, 0, 0, 701, 903)).all()
    store.undo()
    pyramid.invalidate(edit.record.box)
    assert all(
        (array[:] == before).all() for array, before in zip(pyramid.arrays, plain, strict=True)
    )
