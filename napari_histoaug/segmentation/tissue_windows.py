"""Which windows of a slide hold tissue, so that no network looks at glass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_histoaug.annotations import ClassTable
from napari_histoaug.patches.grid import Grid
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.settings import PatchSettings, TissueSettings
from napari_histoaug.patches.tissue import find_tissue
from napari_histoaug.slides import Slide

Box = tuple[int, int, int, int]
MOST_CELLS = 8_000_000  # of the mask, whatever the slide: finding tissue takes 40 bytes each


@dataclass(frozen=True)
class TissueWindows:
    """Says of any box of a prediction whether it touches tissue.

    Attributes
    ----------
    mask : bool, (H, W)
        Cells with tissue.
    factor : int
        Side of a cell in pixels of the prediction.
    about : dict
        The rule, as plain values.
    """

    mask: npt.NDArray[np.bool_]
    factor: int
    about: dict[str, Any]

    def __call__(self, box: Box) -> bool:
        """Whether any tissue lies in (y, x, height, width)."""
        y, x, height, width = box
        rows = slice(max(y, 0) // self.factor, max(-(-(y + height) // self.factor), 0))
        columns = slice(max(x, 0) // self.factor, max(-(-(x + width) // self.factor), 0))
        return bool(self.mask[rows, columns].any())


def tissue_windows(slide: Slide, grid: Grid) -> TissueWindows:
    """Find the tissue of a slide for a prediction on `grid`.

    Cells are 8 um wide as for patches, and larger on slides that would have too many of them.
    """
    pixel = math.sqrt(math.prod(grid.mpp or grid.spacing))
    least = math.sqrt(math.prod(grid.shape) / MOST_CELLS) * pixel
    tissue = TissueSettings(cell=max(8.0, math.ceil(least)))
    settings = PatchSettings(size=512, stride=512, tissue=tissue)
    nothing_drawn = Labels(None, ClassTable.from_names(["any"]))
    found = find_tissue(slide, grid, nothing_drawn, settings)
    return TissueWindows(found.mask, found.factor, {"tissue": tissue.model_dump(mode="json")})
