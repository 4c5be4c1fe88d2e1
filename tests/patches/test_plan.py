"""The plan against counting every pixel of every patch."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histoaug.annotations import Document, Feature, rasterize
from napari_histoaug.patches import PatchError, PatchSettings
from napari_histoaug.patches.grid import origins, patch_grid, tile_order
from napari_histoaug.patches.plan import plan_patches
from napari_histoaug.patches.tissue import find_tissue
from napari_histoaug.slides import open_slide

from .conftest import CLASSES, discs, labels_of, pink_square

HEIGHT, WIDTH = 512, 704


@pytest.fixture
def slide(make_slide):
    return open_slide(make_slide(pink_square(HEIGHT, WIDTH, 150), halvings=2))


def counted_one_by_one(slide, document, settings):
    """Return (row, column) -> (tissue cells, class pixels) of the patches that fit."""
    labels = labels_of(document)
    grid = patch_grid(slide, settings)
    tissue = find_tissue(slide, grid, labels, settings)
    c, s = tissue.factor, settings.size
    mask = rasterize(document, CLASSES, (0, 0, HEIGHT, WIDTH), grid.spacing)
    found = {}
    for row in range(0, grid.shape[0] - s + 1, settings.stride):
        for column in range(0, grid.shape[1] - s + 1, settings.stride):
            cells = tissue.mask[row // c : (row + s) // c, column // c : (column + s) // c]
            patch = mask[row : row + s, column : column + s]
            pixels = [int((patch == value).sum()) for value in (1, 2)]
            enough = [100 * n >= settings.target_percent * s * s for n in pixels]
            if 100 * cells.sum() >= settings.tissue_percent * cells.size and any(enough):
                found[row, column] = (int(cells.sum()), *pixels)
    return found


@pytest.mark.parametrize("mpp", [None, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_patch_is_the_one_that_counting_finds(slide, mpp, seed):
    document = discs(25, HEIGHT, WIDTH, seed)
    settings = PatchSettings(size=64, stride=32, mpp=mpp)
    plan = plan_patches(slide, labels_of(document), settings)
    got = {
        (int(row), int(column)): (int(cells), *map(int, pixels))
        for row, column, cells, pixels in zip(
            plan.rows, plan.columns, plan.tissue_cells, plan.class_pixels.T, strict=True
        )
    }
    expected = counted_one_by_one(slide, document, settings)
    assert expected or mpp == 2.0
    assert got == expected


def test_resampled_classes_follow_the_pixel_centre_rule(slide):
    document = discs(25, HEIGHT, WIDTH)
    settings = PatchSettings(size=64, stride=64, mpp=0.8, tissue_percent=0)
    plan = plan_patches(slide, labels_of(document), settings)
    assert plan.grid.spacing == pytest.approx((1.6, 1.6))
    assert len(plan)
    shapes = [f.geometry for f in document.features if f.class_name == "blood_vessel"]
    for row, column, pixels in zip(plan.rows, plan.columns, plan.class_pixels[0], strict=True):
        y, x = ((at + np.arange(64) + 0.5) * 1.6 for at in (row, column))
        x, y = np.meshgrid(x, y)
        inside = np.any([shapely.contains_xy(shape, x, y) for shape in shapes], axis=0)
        # blood_vessel wins over fatty_tissue, being first in the table
        assert pixels == inside.sum()


def test_nothing_depends_on_the_blocks(slide):
    labels = labels_of(discs(25, HEIGHT, WIDTH))
    settings = PatchSettings(size=64, stride=16, mpp=0.8)
    plans = [plan_patches(slide, labels, settings, tile=tile) for tile in (64, 100, 2048)]
    assert len(plans[0]) > 50
    for plan in plans[1:]:
        for one, other in zip(plan[1:7], plans[0][1:7], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("width", "planned"), [(25, 0), (26, 1)])
def test_ten_per_cent_are_ten_per_cent(slide, width, planned):
    # 10 % of 64 x 64 pixels are 409.6: 16 rows of 25 are too few, of 26 enough
    document = Document.from_features([Feature.new(shapely.box(0, 0, width, 16), "blood_vessel")])
    settings = PatchSettings(size=64, stride=2000, tissue_percent=0)
    assert len(plan_patches(slide, labels_of(document), settings)) == planned


def test_exactly_the_threshold_is_enough(slide):
    # 10 % of 80 x 80 are exactly 640
    for height, planned in ((8, 1), (7, 0)):
        shape = shapely.box(0, 0, 80, height)
        document = Document.from_features([Feature.new(shape, "blood_vessel")])
        settings = PatchSettings(size=80, stride=2000, tissue_percent=0)
        assert len(plan_patches(slide, labels_of(document), settings)) == planned


def test_half_a_pixel_decides(slide):
    settings = PatchSettings(size=64, stride=2000, tissue_percent=0, target_percent=0)
    for left, columns in ((0.49, 10), (0.51, 9)):
        shape = shapely.box(left, 0, 10, 10)
        document = Document.from_features([Feature.new(shape, "blood_vessel")])
        plan = plan_patches(slide, labels_of(document), settings)
        assert plan.class_pixels[0, 0] == 10 * columns


@given(
    length=st.integers(1, 400), size=st.integers(8, 64), stride=st.integers(1, 90),
)  # fmt: skip
def test_borders(length, size, stride):
    drop, shift, pad = (origins(length, size, stride, b) for b in ("drop", "shift", "pad"))
    assert (drop + size <= length).all()
    assert (shift + size <= length).all()
    assert (pad < length).all()
    assert len(set(shift.tolist())) == len(shift)
    if length >= size and stride <= size:
        assert shift[-1] + size == length
        assert pad[-1] + size >= length
    assert list(pad[: len(drop)]) == list(drop)


def test_a_shifted_patch_counts_the_cells_whose_centres_it_holds(slide):
    settings = PatchSettings(size=96, stride=96, border="shift", tissue_percent=0, target_percent=0)
    plan = plan_patches(slide, labels_of(None), settings)
    assert (plan.rows.max() + 96, plan.columns.max() + 96) == (HEIGHT, WIDTH)
    assert len(plan) == 6 * 8
    assert (plan.tissue_cells <= plan.cells).all()


def test_padding_is_no_tissue(slide):
    settings = PatchSettings(size=512, stride=512, border="pad", target_percent=0)
    plan = plan_patches(slide, labels_of(None), settings)
    # a fifth of the second one is on the slide, too little of it tissue
    assert [(int(r), int(c)) for r, c in zip(plan.rows, plan.columns, strict=True)] == []
    loose = settings.model_copy(update={"tissue_percent": 0})
    assert plan_patches(slide, labels_of(None), loose).columns.tolist() == [0, 512]


def test_patches_are_listed_tile_by_tile():
    rows, columns = (a.ravel() for a in np.mgrid[0:5000:512, 0:5000:512])
    shuffled = np.random.default_rng(0).permutation(len(rows))
    order = shuffled[tile_order(rows[shuffled], columns[shuffled])]
    keys = [(r // 2048, c // 2048, r, c) for r, c in zip(rows[order], columns[order], strict=True)]
    assert keys == sorted(keys)


def test_only_target_classes_count_when_some_are_named(slide):
    document = discs(25, HEIGHT, WIDTH)
    settings = PatchSettings(size=64, stride=32, targets=("fatty_tissue",))
    plan = plan_patches(slide, labels_of(document), settings)
    assert (100 * plan.class_pixels[1] >= 10 * 64 * 64).all()
    with pytest.raises(PatchError, match="empty"):
        plan_patches(slide, labels_of(document), settings.model_copy(update={"targets": ()}))


def test_a_pixel_size_that_is_missing_or_too_coarse_is_said(make_slide, slide):
    bare = open_slide(make_slide(pink_square(128, 128, 10), "bare.tif", mpp=None))
    with pytest.raises(PatchError, match="no pixel size"):
        patch_grid(bare, PatchSettings(mpp=0.5))
    with pytest.raises(PatchError, match="coarser"):
        patch_grid(slide, PatchSettings(mpp=0.25))


def test_a_level_near_enough_is_read_as_it_is(slide):
    grid = patch_grid(slide, PatchSettings(mpp=1.04))
    assert (grid.level, grid.spacing, grid.mpp) == (1, (2.0, 2.0), (1.0, 1.0))
    strict = patch_grid(slide, PatchSettings(mpp=1.04, mpp_tolerance=0.0))
    assert strict.level == 1
    assert strict.mpp == pytest.approx((1.04, 1.04))
