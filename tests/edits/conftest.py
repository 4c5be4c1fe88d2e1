"""Slides and edits for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from napari_histoaug.edits import EditRecord
from napari_histoaug.slides import Slide, open_slide


@pytest.fixture
def slide(make_pyramid_tiff: Callable) -> Iterator[Slide]:
    """A slide of 701 x 903 pixels whose lower level has a downsample of 1.9971 and 2.0022."""
    made = make_pyramid_tiff(shapes=[(701, 903), (351, 451)], name="secret-name.tif")
    with open_slide(made.path) as opened:
        yield opened


class Edit:
    """Pixels and provenance of one edit."""

    def __init__(self, slide: Slide, box: tuple[int, int, int, int], seed: int) -> None:
        random = np.random.default_rng(seed)
        self.image = random.integers(0, 256, (*box[2:], 3), dtype=np.uint8)
        y, x = np.ogrid[: box[2], : box[3]]
        radius = ((y - box[2] / 2) / (box[2] / 2)) ** 2 + ((x - box[3] / 2) / (box[3] / 2)) ** 2
        self.changed = radius < 0.9
        self.record = EditRecord(
            slide_sha256=slide.sha256(),
            box=box,
            label="blood_vessel",
            method="pixel-time",
            steps=20,
            seed=seed,
            mpp=slide.mpp,
        )

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, EditRecord]:
        """What EditStore.accept takes."""
        return self.image, self.changed, self.record


@pytest.fixture
def make_edit(slide: Slide) -> Callable[..., Edit]:
    """Factory ``make_edit(box, seed=0)`` of elliptic edits of random colours."""

    def make(box: tuple[int, int, int, int] = (101, 203, 150, 121), seed: int = 0) -> Edit:
        return Edit(slide, box, seed)

    return make
