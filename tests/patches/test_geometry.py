"""The box around a hole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histoaug.patches import context_box


@pytest.mark.parametrize(
    ("hole", "expected"),
    [
        ((1000, 1200, 40, 60), (892, 1102, 256, 256)),
        ((1000, 1200, 300, 400), (936, 1136, 428, 528)),
        ((5, 1960, 40, 40), (0, 1744, 256, 256)),
        ((0, 0, 3000, 2000), (0, 0, 3000, 2000)),
    ],
)
def test_known_boxes(hole: tuple, expected: tuple) -> None:
    assert context_box(hole, (3000, 2000)) == expected


@given(st.data())
def test_it_holds_the_hole_stays_inside_and_has_margins(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 900), st.integers(1, 900)))
    y, x = (data.draw(st.integers(0, n - 1)) for n in shape)
    height = data.draw(st.integers(1, shape[0] - y))
    width = data.draw(st.integers(1, shape[1] - x))
    box = context_box((y, x, height, width), shape, margin=64, smallest=256)
    for start, size, low, length, limit in zip(
        (y, x), (height, width), box[:2], box[2:], shape, strict=True
    ):
        assert low >= 0
        assert low + length <= limit
        assert low <= max(start - 64, 0)
        assert low + length >= min(start + size + 64, limit)
        assert length >= min(256, limit)
