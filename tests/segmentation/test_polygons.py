"""Outlines of a label mask, painted again."""

import numpy as np
import pytest
from scipy import ndimage

from napari_histoaug.annotations import ClassTable, rasterize
from napari_histoaug.segmentation import prediction_store
from napari_histoaug.segmentation.polygons import outline_labels

CLASSES = ["blood_vessel", "fatty_tissue"]


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(prediction_store, "BLOCK", 32)
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((2, 75, 90)), (0, 4, 4))
    mask = np.where(smooth[0] > 0.05, 1, 0)
    return np.where(smooth[1] > 0.06, 2, mask).astype(np.uint8)


def test_painted_again_they_give_the_same_mask(labels: np.ndarray) -> None:
    table = ClassTable.from_names(CLASSES)
    document = outline_labels(labels, CLASSES, table, spacing=(2.0, 4.0))
    again = rasterize(document, table, (0, 0, 150, 360), (2.0, 4.0))
    np.testing.assert_array_equal(again, labels)


def test_areas_that_reach_over_blocks_are_one(labels: np.ndarray) -> None:
    table = ClassTable.from_names(CLASSES)
    document = outline_labels(labels, CLASSES, table)
    expected = sum(ndimage.label(labels == value)[1] for value in (1, 2))
    assert len(document.features) == expected
    assert all(feature.geometry.is_valid for feature in document.features)


def test_small_areas_are_left_out(labels: np.ndarray) -> None:
    table = ClassTable.from_names(CLASSES)
    kept = outline_labels(labels, CLASSES, table, least_area=100)
    areas = [f.geometry.area for f in outline_labels(labels, CLASSES, table).features]
    assert len(kept.features) == sum(area >= 100 for area in areas) < len(areas)


def test_an_empty_mask_has_no_outline() -> None:
    table = ClassTable.from_names(CLASSES)
    nothing = np.zeros((40, 40), np.uint8)
    assert outline_labels(nothing, CLASSES, table).features == []
