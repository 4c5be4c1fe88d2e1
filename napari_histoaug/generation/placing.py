"""Where a vessel may be painted into tissue, of which shape, and which vessel may be taken out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.learning.tissue import RIM
from napari_histoaug.masks import dilate, vessel_outline
from napari_histoaug.masks.stamps import pick_shape, vessel_shapes
from napari_histoaug.patches.settings import TissueSettings
from napari_histoaug.patches.tissue import tissue_mask

TRIES = 30
LEAST_AREA = 64  # px; smaller pieces are cut by the border or drawn by accident
BEYOND = 3.0  # px around an outline that are made anew, too: nobody outlines to the pixel
CONTEXT = 24  # px of tissue that are kept around a vessel that is taken out

Pixels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Rng = np.random.Generator


def hole_for(
    config: DatasetConfig, mpp: tuple[float, float], rng: Rng, image: Pixels, labels: Pixels
) -> Bool | None:
    """A hole, bool (H, W), where the tissue has room for a vessel; None where it has not.

    It lies on tissue, wholly inside the picture, and away from whatever is labelled or generated
    already.

    Parameters
    ----------
    mpp : (float, float)
        Of the generator, unless the source says otherwise.
    """
    placing = config.placing
    pixel = mpp if config.source.mpp is None else (config.source.mpp, config.source.mpp)
    hole = _drawn(config, pixel, rng, labels.shape)
    if hole is None or not hole.any():
        return None
    around = dilate(hole, placing.clearance) if placing.clearance else hole
    if labels[around].any():
        return None
    if placing.least_tissue:
        valid = np.ones(labels.shape, bool)
        tissue = tissue_mask(image, valid, TissueSettings(), float(np.sqrt(pixel[0] * pixel[1])))
        if tissue[hole].mean() < placing.least_tissue:
            return None
    return hole


def _drawn(
    config: DatasetConfig, mpp: tuple[float, float], rng: Rng, shape: tuple[int, ...]
) -> Bool | None:
    size, placing = (shape[0], shape[1]), config.placing
    if placing.shapes == "blobs":
        radius = rng.uniform(*config.radius)
        margin = min(1.6 * radius, config.size / 2)
        y, x = rng.uniform(margin, config.size - margin, 2)
        return vessel_outline(rng, size, radius, (float(y), float(x)))
    low, high = placing.diameter
    fitting = [s for s in vessel_shapes() if low <= s.diameter <= high]
    vessel = pick_shape(rng, fitting or vessel_shapes())
    vessel = vessel.varied(rng, placing.stretch, placing.elastic)
    reach = [vessel.reach / m + 2 for m in mpp]
    if any(2 * r > n for r, n in zip(reach, size, strict=True)):
        return None
    y, x = (rng.uniform(r, n - r) for r, n in zip(reach, size, strict=True))
    return vessel.drawn(size, (float(y), float(x)), mpp)


def piece_to_remove(rng: Rng, labels: Pixels, value: int) -> Bool | None:
    """A vessel that lies whole in a picture with tissue around it, dilated; None without one.

    Parameters
    ----------
    labels : uint8, (H, W)
    value : int
        Of the class.
    """
    numbered, _ = ndimage.label(labels % RIM == value, np.ones((3, 3)))
    height, width = labels.shape
    whole = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
        ends = (rows.start, height - rows.stop, columns.start, width - columns.stop)
        area = int((numbered[rows, columns] == number).sum())
        if min(ends) >= CONTEXT and area >= LEAST_AREA:
            whole.append(number)
    if not whole:
        return None
    hole = dilate(numbered == whole[int(rng.integers(len(whole)))], BEYOND)
    # Another vessel that is cut into would be labelled where it no longer is.
    return hole if count_of(numbered, hole) == 1 else None


def count_of(numbered: npt.NDArray[np.integer], hole: Bool) -> int:
    """How many numbered pieces a hole touches."""
    return len(set(np.unique(numbered[hole])) - {0})
