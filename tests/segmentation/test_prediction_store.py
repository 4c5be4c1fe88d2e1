"""Predictions on disk: what any OME-Zarr reader finds, and what coarse levels keep."""

import numpy as np
import pytest
import zarr

from napari_histoaug.segmentation import SegmentationError
from napari_histoaug.segmentation.prediction_store import (
    CLASSES,
    VALID,
    PredictionStore,
    blocks,
    level_shapes,
)

SHAPE = (2100, 2500)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("store") / "found.zarr"
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 256, (2, *SHAPE), np.uint8)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1234, 987] = 2
    store = PredictionStore.create(
        folder, SHAPE, ["blood_vessel", "fat"], (0.5, 0.25), [(200, 0, 0), (0, 0, 200)]
    )
    for y, x, height, width in blocks(SHAPE):
        rows, columns = slice(y, y + height), slice(x, x + width)
        store.write(
            (y, x, height, width),
            probabilities[:, rows, columns],
            labels[rows, columns],
            np.ones((height, width), np.uint8),
        )
    store.coarsen(lambda: None)
    return folder, store, probabilities


def test_what_was_written_is_read_again(written) -> None:
    _, store, probabilities = written
    np.testing.assert_array_equal(store.levels()[0][:], probabilities)
    assert store.levels(VALID)[0][:].all()


def test_coarse_probabilities_are_means_and_a_single_labelled_pixel_stays(written) -> None:
    _, store, probabilities = written
    coarse = store.levels()[1][:]
    even = probabilities[:, :, :].astype(float)
    cells = even.reshape(2, 1050, 2, 1250, 2).mean((2, 4))
    assert np.abs(coarse - cells).max() <= 0.5
    for level, array in enumerate(store.levels(CLASSES)):
        assert array[1234 >> level, 987 >> level] == 2
        assert np.count_nonzero(array[:]) == 1


def test_every_block_is_a_file_of_its_own(written) -> None:
    folder, store, _ = written
    assert store.levels()[0].shards == (2, 2048, 2048)
    assert len(list((folder / "0" / "c").rglob("0/*/*"))) == 4


def test_it_is_an_ome_zarr_image_with_labels(written) -> None:
    folder, _, _ = written
    group = zarr.open_group(str(folder), mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    first, second, *_ = ome["multiscales"][0]["datasets"]
    assert first["coordinateTransformations"][0]["scale"] == [1.0, 0.5, 0.25]
    assert second["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 0.5]
    assert group["labels"].attrs["ome"]["labels"] == ["classes", "valid"]
    colours = group[CLASSES].attrs["ome"]["image-label"]["colors"]
    assert colours[1] == {"label-value": 2, "rgba": [0, 0, 200, 255]}


def test_only_a_finished_prediction_opens(written, tmp_path) -> None:
    folder, store, _ = written
    with pytest.raises(SegmentationError, match="not a finished prediction"):
        PredictionStore.open(folder)
    store.finish({"slide_id": "abc"})
    assert PredictionStore.open(folder).facts == {"slide_id": "abc", "complete": True}
    with pytest.raises(SegmentationError, match="not a finished prediction"):
        PredictionStore.open(tmp_path)


def test_levels_end_below_the_smallest_side() -> None:
    assert level_shapes((5000, 3001)) == [(5000, 3001), (2500, 1501), (1250, 751), (625, 376)]
    assert level_shapes((10, 10)) == [(10, 10)]
