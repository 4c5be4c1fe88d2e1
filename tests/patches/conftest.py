"""Small slides with known tissue and annotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile

from napari_histoaug.annotations import AnnotationIndex, ClassTable, Document, Feature
from napari_histoaug.patches.labels import Labels

CLASSES = ClassTable.from_names(["blood_vessel", "fatty_tissue"])
PINK, GLASS = (205, 130, 180), (243, 243, 242)


def pink_square(height: int, width: int, margin: int, seed: int = 0) -> np.ndarray:
    """Grained pink tissue on glass, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), GLASS, np.uint8)
    inside = (slice(margin, height - margin), slice(margin, width - margin))
    grain = random.integers(0, 40, image[inside].shape, dtype=np.uint8)
    image[inside] = np.array(PINK, np.uint8) + grain
    return image


def write_slide(path: Path, image: np.ndarray, mpp: float | None = 0.5, halvings: int = 0) -> Path:
    """Write a lossless tiled TIFF; its levels are means of 2 x 2 pixels."""
    options: dict = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for level in range(halvings + 1):
            writer.write(image, subfiletype=int(level > 0), metadata=None, **options)
            quads = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3)
            image = np.rint(quads.mean(axis=(1, 3))).astype(np.uint8)
    return path


def discs(count: int, height: int, width: int, seed: int = 0) -> Document:
    """Discs of both classes at random places, some over others."""
    random = np.random.default_rng(seed)
    return Document.from_features(
        Feature.new(
            shapely.Point(random.uniform(60, width - 60), random.uniform(60, height - 60)).buffer(
                random.uniform(10, 60)
            ),
            CLASSES.names[i % 2],
        )
        for i in range(count)
    )


def labels_of(document: Document | None, **options: object) -> Labels:
    """Make Labels of a document with the two classes."""
    index = None if document is None else AnnotationIndex.from_document(document)
    return Labels(index, CLASSES, **options)  # type: ignore[arg-type]


@pytest.fixture
def make_slide(tmp_path: Path) -> Callable[..., Path]:
    """``make_slide(image, name="slide.tif", mpp=0.5, halvings=0)`` writes a slide."""

    def make(image: np.ndarray, name: str = "slide.tif", **options: object) -> Path:
        return write_slide(tmp_path / name, image, **options)  # type: ignore[arg-type]

    return make


def contents(folder):
    """Everything in an output folder except the file that guards its lock."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.guard")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
