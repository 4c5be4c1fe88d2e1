"""Tissue: what is white in it survives, what an expert drew is never lost."""

from __future__ import annotations

import numpy as np
import shapely

from napari_histoaug.annotations import Document, Feature
from napari_histoaug.patches.grid import patch_grid
from napari_histoaug.patches.settings import PatchSettings, TissueSettings
from napari_histoaug.patches.tissue import cell_factor, find_tissue, local_entropy, tissue_mask
from napari_histoaug.slides import open_slide

from .conftest import GLASS, labels_of, pink_square

SETTINGS = TissueSettings()


def mask_of(image: np.ndarray, side: float = 8.0, **changes: float) -> np.ndarray:
    settings = SETTINGS.model_copy(update=changes)
    return tissue_mask(image, np.ones(image.shape[:2], bool), settings, side)


def test_stained_tissue_is_found_and_glass_is_not():
    mask = mask_of(pink_square(100, 100, 30))
    assert mask[34:66, 34:66].all()
    assert not mask[:26].any()
    assert not mask_of(np.full((60, 60, 3), GLASS, np.uint8)).any()


def test_grey_tissue_is_found_by_its_density_alone():
    image = np.full((100, 100, 3), GLASS, np.uint8)
    image[30:70, 30:70] = 150
    assert mask_of(image)[34:66, 34:66].all()


def test_texture_alone_is_enough():
    image = np.full((120, 120, 3), 244, np.uint8)
    # as between fat cells: white, crossed by membranes of every grey
    membranes = np.random.default_rng(0).integers(150, 230, (40, 40, 1), dtype=np.uint8)
    image[40:80:2, 40:80] = membranes[::2]
    image[40:80, 40:80:3] = membranes[:, ::3]
    only = {"saturation": 1.0, "density": 9.0, "close": 0.0, "hole_area": 0.0}
    assert mask_of(image, **only)[43:77, 43:77].mean() > 0.95
    assert not mask_of(image, **only | {"entropy": 9.0}).any()


def test_holes_are_filled_up_to_a_physical_size():
    image = pink_square(100, 100, 5)
    image[20:30, 20:30] = GLASS
    image[50:80, 50:80] = GLASS
    between = 15 * 15 * 8.0**2
    mask = mask_of(image, hole_area=between, close=0.0)
    assert mask[25, 25]
    assert not mask[65, 65]
    # the same holes on a slide of half the resolution have four times the area
    assert not mask_of(image, side=16.0, hole_area=between, close=0.0)[25, 25]


def test_no_data_is_never_tissue():
    image = pink_square(60, 60, 0)
    valid = np.ones((60, 60), bool)
    valid[20:40, 20:40] = False
    image[~valid] = 0
    mask = tissue_mask(image, valid, SETTINGS, 8.0)
    assert not mask[~valid].any()
    assert mask[valid].all()


def test_entropy_of_halves_is_one_bit():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, ::2] = 128
    # 5 columns: 3 of one value and 2 of the other
    expected = -(0.6 * np.log2(0.6) + 0.4 * np.log2(0.4))
    np.testing.assert_allclose(local_entropy(image)[10, 10], expected, atol=1e-4)


def test_annotated_glass_is_tissue_and_no_area_is_lost(make_slide):
    slide = open_slide(make_slide(pink_square(512, 640, 200)))
    vessel = shapely.box(20, 30, 120, 130).difference(shapely.Point(70, 80).buffer(20))
    document = Document.from_features([Feature.new(vessel, "blood_vessel")])
    settings = PatchSettings(size=64, stride=64)
    tissue = find_tissue(slide, patch_grid(slide, settings), labels_of(document), settings)
    (vessels, fat) = tissue.areas
    np.testing.assert_allclose(vessels.area, vessel.area * 0.25, rtol=0.02)
    assert vessels.lost_by_rule == vessels.area
    assert vessels.lost == 0
    assert fat == ("fatty_tissue", 0, 0, 0)


def test_cells_divide_size_and_stride_where_they_can(make_slide):
    slide = open_slide(make_slide(pink_square(128, 128, 20)))
    for size, stride, wanted in ((256, 128, 16), (250, 100, 10), (255, 127, 16), (512, 512, 16)):
        settings = PatchSettings(size=size, stride=stride, mpp=0.5)
        assert cell_factor(patch_grid(slide, settings), settings) == wanted
