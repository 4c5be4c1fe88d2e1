"""Overlapping windows: exact where the network is exact, and nowhere a trace of the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histoaug.segmentation.overlap import (
    KeptWindows,
    predict_block,
    window_starts,
    window_weights,
)

PATCH = 16
IMAGE = np.random.default_rng(0).integers(0, 256, (70, 53, 3), np.uint8)


def read(y: int, x: int, height: int, width: int) -> np.ndarray:
    out = np.full((height, width, 3), 255, np.uint8)
    for i in range(height):
        for j in range(width):
            if 0 <= y + i < IMAGE.shape[0] and 0 <= x + j < IMAGE.shape[1]:
                out[i, j] = IMAGE[y + i, x + j]
    return out


def pointwise(windows: np.ndarray) -> np.ndarray:
    """A network that looks at nothing but the pixel itself."""
    return np.moveaxis(windows[..., :2], 3, 1).astype(np.float32) / 255


def contextual(windows: np.ndarray) -> np.ndarray:
    """A network whose answer depends on where in the window a pixel lies."""
    ramp = np.linspace(0, 1, PATCH, dtype=np.float32)
    mean = windows.mean((1, 2, 3), dtype=np.float32)[:, None, None, None] / 255
    return mean * ramp[None, None, :, None] + 0 * windows[:, None, :, :, 0]


def test_weights_of_neighbours_add_up_to_one() -> None:
    weights = window_weights(PATCH)
    total = np.zeros((64, 64))
    for y in range(0, 64 - PATCH + 1, PATCH // 2):
        for x in range(0, 64 - PATCH + 1, PATCH // 2):
            total[y : y + PATCH, x : x + PATCH] += weights
    np.testing.assert_allclose(total[PATCH:-PATCH, PATCH:-PATCH], 1, atol=1e-6)
    with pytest.raises(ValueError, match="even"):
        window_weights(15)


@settings(max_examples=50, deadline=None)
@given(st.integers(-100, 100), st.integers(1, 90))
def test_every_pixel_lies_in_two_windows(start: int, length: int) -> None:
    starts = window_starts(start, length, PATCH)
    for pixel in range(start, start + length):
        assert sum(s <= pixel < s + PATCH for s in starts) == 2
    assert all(s % (PATCH // 2) == 0 for s in starts)


def test_a_pointwise_network_comes_out_exactly_up_to_the_edges() -> None:
    found = predict_block(pointwise, read, (0, 0, 70, 53), PATCH, batch=5)
    assert found is not None
    np.testing.assert_allclose(found, np.moveaxis(IMAGE[..., :2], 2, 0) / 255, atol=1e-6)


def test_blocks_cannot_be_seen() -> None:
    whole = predict_block(contextual, read, (0, 0, 64, 48), PATCH)
    assert whole is not None
    for side in (8, 20, 32):
        pieces = np.zeros_like(whole)
        for y in range(0, 64, side):
            for x in range(0, 48, side):
                box = (y, x, min(side, 64 - y), min(side, 48 - x))
                part = predict_block(contextual, read, box, PATCH, batch=3)
                pieces[:, y : y + box[2], x : x + box[3]] = part
        np.testing.assert_allclose(pieces, whole, atol=1e-6)


def test_windows_that_are_not_wanted_are_neither_asked_nor_counted() -> None:
    asked = []

    def predict(windows: np.ndarray) -> np.ndarray:
        asked.extend(windows)
        return np.ones((len(windows), 1, PATCH, PATCH), np.float32)

    found = predict_block(predict, read, (0, 0, 32, 32), PATCH, wanted=lambda y, x: x >= 16)
    assert found is not None
    assert len(asked) == 5 * 2
    assert (found[:, :, :16] == 0).all()
    np.testing.assert_allclose(found[:, :, 24:], 1, atol=1e-6)
    assert predict_block(predict, read, (0, 0, 8, 8), PATCH, wanted=lambda y, x: False) is None


@pytest.mark.parametrize("most", [0, 3000, 1 << 20])
def test_windows_over_borders_are_computed_once_and_nothing_changes(most: int) -> None:
    calls: list[int] = []

    def counted(windows: np.ndarray) -> np.ndarray:
        calls.append(len(windows))
        return contextual(windows)

    boxes = [(y, x, min(32, 70 - y), min(32, 53 - x)) for y in range(0, 70, 32) for x in (0, 32)]
    kept = KeptWindows(most)
    whole = predict_block(contextual, read, (0, 0, 70, 53), PATCH, batch=4)
    for y, x, height, width in boxes:
        part = predict_block(counted, read, (y, x, height, width), PATCH, batch=4, kept=kept)
        assert whole is not None
        np.testing.assert_array_equal(part, whole[:, y : y + height, x : x + width])
    everything = len(window_starts(0, 70, PATCH)) * len(window_starts(0, 53, PATCH))
    if most == 1 << 20:
        assert sum(calls) == everything
    else:
        assert sum(calls) > everything


def test_a_resumed_image_comes_out_the_same() -> None:
    kept = KeptWindows(1 << 20)  # of the second block only, as after a kill
    for box in ((0, 32, 32, 21), (32, 0, 32, 32)):
        found = predict_block(contextual, read, box, PATCH, kept=kept)
        fresh = predict_block(contextual, read, box, PATCH)
        np.testing.assert_array_equal(found, fresh)
