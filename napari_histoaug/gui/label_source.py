"""What is known of the classes of a place: the annotations, and over them what is painted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.holes import Drawing, PlannedHole

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable, Document

RING = 16  # px around a hole whose class is asked
BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class LabelSource:
    """Frozen at the click.

    Attributes
    ----------
    classes : ClassTable
    documents : sequence of Document
        Annotations that lie on the slide.
    drawings : mapping of int to sequence of Drawing
        What is painted, by class value.
    """

    classes: ClassTable
    documents: Sequence[Document]
    drawings: Mapping[int, Sequence[Drawing]]

    def read(self, box: Box) -> np.ndarray:
        """Class values of a level-0 box, uint8 (height, width); 0 where nothing is said."""
        from napari_histoaug.annotations import rasterize

        values = np.zeros(box[2:], np.uint8)
        for document in self.documents:
            annotated = rasterize(document, self.classes, box)
            values[annotated > 0] = annotated[annotated > 0]
        for value, drawings in self.drawings.items():
            for drawing in drawings:
                values[drawing.fill(box)] = value
        return values

    def around(self, plan: PlannedHole) -> str:
        """The class that surrounds a hole most; "background" where none is said."""
        ring = ndimage.binary_dilation(plan.hole, iterations=RING) & ~plan.hole
        found = np.bincount(self.read(plan.box)[ring], minlength=1)
        value = int(found.argmax())
        return BACKGROUND if value == 0 else self.classes.names[value - 1]


@dataclass(frozen=True, eq=False)
class AnnotatedClass:
    """Every annotated outline of one class, as something drawn."""

    document: Document
    classes: ClassTable

    def boxes(self) -> list[Box]:
        found = []
        for feature in self.document.walk():
            bounds = feature.geometry.bounds
            if feature.geometry.area > 0:
                x0, y0, x1, y1 = (int(np.floor(v)) for v in bounds)
                found.append((y0, x0, y1 + 1 - y0, x1 + 1 - x0))
        return found

    def fill(self, box: Box) -> np.ndarray:
        from napari_histoaug.annotations import rasterize

        return rasterize(self.document, self.classes, box) > 0


def annotated(document: Document, label: str) -> AnnotatedClass:
    """The outlines of a document that have the class."""
    from napari_histoaug.annotations import ClassTable, Document

    chosen = [f for f in document.walk() if label in (f.class_name, f.name)]
    return AnnotatedClass(Document.from_features(chosen), ClassTable.from_names([label]))
