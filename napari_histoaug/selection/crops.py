"""Pictures of single holes, as the checks compare them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 64  # px
AROUND = 1.5  # side of a crop over that of the hole

Pixels = npt.NDArray[np.uint8]


def hole_crop(image: Pixels, hole: npt.NDArray[np.bool_], side: int = SIDE) -> Pixels:
    """The tissue of a hole with some around it, uint8 (side, side, 3).

    Parameters
    ----------
    image : uint8, (H, W, 3)
        Beyond its edges they are repeated.
    hole : bool, (H, W)
        At least one pixel.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    largest = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    reach = max(side, int(np.ceil(AROUND * largest)))
    index = [
        np.clip((at[0] + at[-1]) // 2 - reach // 2 + np.arange(reach), 0, n - 1)
        for at, n in ((rows, hole.shape[0]), (columns, hole.shape[1]))
    ]
    cut = image[np.ix_(*index)]
    if reach == side:
        return np.ascontiguousarray(cut)
    return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BOX))
