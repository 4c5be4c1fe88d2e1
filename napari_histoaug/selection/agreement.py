"""Does a segmenter that knows only real tissue see in a pair what its labels say?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.learning.tissue import RIM
from napari_histoaug.metrics import confusion

Labels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


def made_region(labels: Labels) -> Bool:
    """Where a pair was generated, bool (H, W): its feathered rims and what they enclose.

    Parameters
    ----------
    labels : uint8, (H, W)
        As a pair has them: rims carry the bit 128; 255 is what nobody knows.
    """
    rim = (labels >= RIM) & (labels != IGNORED)
    return np.asarray(ndimage.binary_fill_holes(rim), bool)


def agreement(found: Bool, labels: Labels) -> float:
    """Dice of what was found with what was painted, within the generated region.

    Real vessels beside it say nothing about the pair.

    Parameters
    ----------
    found : bool, (H, W)
        Of a segmenter.
    labels : uint8, (H, W)

    Returns
    -------
    float
        0 where neither is anything.
    """
    region = made_region(labels)
    painted = (labels % RIM > 0) & (labels < RIM) & region
    return confusion(painted, found, region).dice or 0.0


def share_left(found: Bool, labels: Labels) -> float:
    """Share of a removed vessel's place in which something is still found.

    Parameters
    ----------
    found : bool, (H, W)
    labels : uint8, (H, W)
    """
    hole = made_region(labels) & (labels < RIM)
    return float(found[hole].mean()) if hole.any() else 0.0
