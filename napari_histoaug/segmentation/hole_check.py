"""What a segmenter sees in a hole: the class it was filled with, or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_histoaug.generation.window import (
    Bool,
    Image,
    Mpp,
    resize_hole,
    resize_image,
    scale_to,
    scaled_shape,
)
from napari_histoaug.segmentation.segmenter import Segmenter

STRIDE = 32  # sides of a window are multiples of it


def labels_in(segmenter: Segmenter, image: Image, mpp: Mpp | None) -> npt.NDArray[np.uint8]:
    """Label mask of a whole image at the segmenter's pixel size: 0, or 1 + the class index.

    Parameters
    ----------
    segmenter : Segmenter
    image : uint8 (H, W, 3)
        Read at once, so not larger than a few thousand pixels a side.
    mpp : float or (y, x), optional
        Micrometres per pixel of `image`; that of the segmenter when not given.
    """
    shape = scaled_shape((image.shape[0], image.shape[1]), scale_to(mpp, segmenter.mpp))
    height, width = shape
    missing = [(0, -side % STRIDE) for side in shape]
    padded = np.pad(resize_image(image, shape), (*missing, (0, 0)), mode="symmetric")
    return segmenter.labels(segmenter.probabilities(padded[None])[0])[:height, :width]


def share_found(
    segmenter: Segmenter, image: Image, hole: Bool, label: str, mpp: Mpp | None
) -> float | None:
    """Share of a hole that the segmenter takes for a class, 0 to 1.

    Parameters
    ----------
    segmenter : Segmenter
    image : uint8 (H, W, 3)
        With some tissue around the hole.
    hole : bool (H, W)
    label : str
        The class.
    mpp : float or (y, x), optional
        As in :func:`labels_in`.

    Returns
    -------
    float or None
        None when the segmenter does not know the class, or nothing is a hole.
    """
    if label not in segmenter.classes or not hole.any():
        return None
    labels = labels_in(segmenter, image, mpp)
    inside = resize_hole(hole, (labels.shape[0], labels.shape[1]))
    value = 1 + segmenter.classes.index(label)
    return float(np.mean(labels[inside] == value))
