"""A slide with two accepted edits, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from napari_histoaug.annotations import ClassTable
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.slides import Slide, open_slide

SECRET = "Jane-Doe-1963"
BOXES = ((101, 203, 150, 121), (1001, 1390, 130, 110))


class Edited(NamedTuple):
    """An open slide, its edits, and a class table."""

    slide: Slide
    store: EditStore
    classes: ClassTable

    @property
    def whole(self) -> np.ndarray:
        """All level-0 pixels with the edits."""
        return self.store.read_block(self.slide, 0, 0, *self.slide.levels[0].shape)

    @property
    def generated(self) -> np.ndarray:
        """All level-0 pixels: whether they are generated."""
        return self.store.synthetic(0, 0, *self.slide.levels[0].shape)

    @property
    def painted(self) -> np.ndarray:
        """All level-0 pixels: the mask values that were painted."""
        return self.painted_by_hand()

    def painted_by_hand(self, skip: int = 0) -> np.ndarray:
        """As :attr:`painted`, without the last edits."""
        out = np.zeros(self.slide.levels[0].shape, np.uint8)
        for edit in self.store.edits[: len(self.store.edits) - skip]:
            y, x, height, width = edit.box
            mask = self.store.painted(edit)
            out[y : y + height, x : x + width][mask] = self.classes.value_of(edit.label)
        return out


@pytest.fixture(scope="session")
def classes() -> ClassTable:
    return ClassTable.from_names(["fatty_tissue", "blood_vessel"])


@pytest.fixture
def edited(make_pyramid_tiff, classes) -> Iterator[Edited]:
    """A slide of 1301 x 1503 pixels, half a micrometre each, with two elliptic edits."""
    made = make_pyramid_tiff(shapes=[(1301, 1503), (651, 752)], name=f"{SECRET}.tif")
    with open_slide(made.path) as slide:
        store = EditStore.open(slide)
        for seed, (box, label) in enumerate(zip(BOXES, classes.names, strict=True)):
            _accept(slide, store, box, label, seed)
        yield Edited(slide, store, classes)


def _accept(slide, store, box, label, seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*box[2:], 3), dtype=np.uint8)
    y, x = np.ogrid[-1 : 1 : box[2] * 1j, -1 : 1 : box[3] * 1j]
    record = EditRecord(
        slide_sha256=slide.sha256(), box=box, label=label, method="pixel-time", steps=20,
        seed=seed, model="a", model_sha256="f" * 64, mpp=slide.mpp,
    )  # fmt: skip
    store.accept(image, y**2 + x**2 < 0.9, record, y**2 + x**2 < 0.5)
