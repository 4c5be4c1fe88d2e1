"""Probabilities that arrive field by field: levels, thresholds, what is left to do, saving."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_histoaug.patches.grid import Grid
from napari_histoaug.segmentation import PredictionStore, SegmentationError, Segmenter
from napari_histoaug.segmentation.live_prediction import LivePrediction, labels_of

SHAPE = (1100, 1300)
GRID = Grid(SHAPE, (2.0, 2.0), 1, (1.0, 1.0))


@pytest.fixture
def filled():
    """A prediction of two classes, all fields but the last, with what was written."""
    random = np.random.default_rng(0)
    whole = random.integers(0, 256, (2, *SHAPE), np.uint8)
    whole[random.random(whole.shape) < 0.9] = 0
    live = LivePrediction(GRID, ("vessel", "fat"), (0.5, 0.7), {"segmenter": "x"})
    *boxes, last = live.fields()
    for y, x, height, width in boxes:
        part = np.s_[y : y + height, x : x + width]
        live.write((y, x, height, width), whole[:, *part], np.ones((height, width), bool))
    y, x, height, width = last
    whole[:, y : y + height, x : x + width] = 0
    yield SimpleNamespace(live=live, whole=whole, last=last)
    live.close()


def test_every_coarse_pixel_is_the_largest_below_it(filled) -> None:
    live, whole = filled.live, filled.whole
    np.testing.assert_array_equal(live.probabilities(0, (0, 0, *SHAPE)), whole)
    halves = whole.reshape(2, 550, 2, 650, 2).max(axis=(2, 4))
    np.testing.assert_array_equal(live.probabilities(1, (0, 0, 550, 650)), halves)
    np.testing.assert_array_equal(live.probabilities(1, (5, 7, 40, 50)), halves[:, 5:45, 7:57])
    live.thresholds = (0.9, 0.9)
    one = LivePrediction(GRID, ("vessel",), (0.5,))
    assert not one.labels(1, (0, 0, 550, 650)).any()
    one.close()


def test_labels_are_those_of_the_segmenter() -> None:
    random = np.random.default_rng(1)
    stored = random.integers(0, 256, (3, 60, 70), np.uint8)
    limits = (0.3, 0.5, 0.8)
    segmenter = SimpleNamespace(index=SimpleNamespace(thresholds=limits))
    expected = Segmenter.labels(segmenter, stored.astype(np.float32) / 255)
    np.testing.assert_array_equal(labels_of(stored, limits), expected)
    np.testing.assert_array_equal(labels_of(stored[:1], (0.5,)), stored[0] >= 128)


def test_what_is_left_to_do(filled) -> None:
    live = filled.live
    assert live.fields() == [filled.last] == [(1024, 1024, 76, 276)]
    assert live.fields((0, 0, 600, 600)) == []
    fresh = LivePrediction(GRID, ("vessel",), (0.5,))
    touching = fresh.fields((500, 100, 20, 10))
    assert touching == [(0, 0, 512, 512), (512, 0, 512, 512)]
    assert len(fresh.fields()) == 9
    fresh.close()


def test_frozen_labels_stay_and_know_where_nobody_looked(filled) -> None:
    live = filled.live
    frozen = live.frozen("found")
    before = frozen.read((0, 0, *SHAPE))
    live.thresholds = (0.01, 0.01)
    np.testing.assert_array_equal(frozen.read((0, 0, *SHAPE)), before)
    y, x, height, width = filled.last
    assert (before[y : y + height, x : x + width] == 255).all()
    assert before[:1024].max() == 2
    assert not frozen[y : y + height, x : x + width].any()


def test_a_saved_prediction_is_a_prediction(filled, tmp_path) -> None:
    live = filled.live
    live.save(tmp_path / "p.zarr")
    store = PredictionStore.open(tmp_path / "p.zarr")
    np.testing.assert_array_equal(store.levels()[0][:], filled.whole)
    labels = store.levels("labels/classes")[0][:]
    np.testing.assert_array_equal(labels, live.labels(0, (0, 0, *SHAPE)))
    assert store.facts["level_0_pixels_per_pixel"] == [2.0, 2.0]
    assert store.facts["wanted"] == {"fields": 8, "of": 9}
    assert store.mpp == (1.0, 1.0)
    with pytest.raises(SegmentationError, match="exists"):
        live.save(tmp_path / "p.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["p.zarr"]
