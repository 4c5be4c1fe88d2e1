"""The tissue a pair was painted into, cut again from its field as its record says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.learning.tissue import find_fields, read_field, turn
from napari_histoaug.models.checkpoints import sha256_of
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.preparing import DATA, LABELS, TILES, Places

UNTOUCHED = "untouched"
SAME = ("source_sha256", "y", "x", "turn")  # of a record: where its tissue is from

Pixels = npt.NDArray[np.uint8]


class Originals:
    """Fields that pairs may start from, by their hashes.

    Attributes
    ----------
    fields : dict of str to (Pixels, Pixels)
        Image uint8 (H, W, 3) and labels uint8 (H, W).
    size : int
        Side of a pair, pixels.
    """

    def __init__(self, config: StudyConfig) -> None:
        source = Places(config.out / DATA).source
        paths = find_fields(source / TILES, config.tissue_cases(source))
        self.fields = {sha256_of([path]): read_field(path, source / LABELS) for path in paths}
        self.size = config.tissue.patch

    def of(self, record: dict[str, Any]) -> tuple[Pixels, Pixels]:
        """Image and labels of a pair before anything was painted into it, turned as the pair is.

        Raises
        ------
        StudyError
            When its tissue is none of the training fields.
        """
        field = self.fields.get(record["source_sha256"])
        if field is None:
            raise StudyError(
                f"The tissue of the pair {record['index']} is none of the training fields; make "
                "the pairs again."
            )
        y, x = record["y"], record["x"]
        part = np.s_[y : y + self.size, x : x + self.size]
        image, labels = (turn(array[part], record["turn"]) for array in field)
        return image.astype(np.uint8), labels.astype(np.uint8)
