"""Where a prediction is right and where it is wrong, as a label map with coarse levels.

Values are those of :class:`Outcome`. A coarse level takes the most frequent outcome of the pixels
below it, except that an error is never voted away: at low zoom a missed capillary is still there.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from napari_histoaug.segmentation.errors import SegmentationError

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.generic]


class Outcome(IntEnum):
    """What a pixel of an error map says; 0 is everything that neither side calls a vessel."""

    NOTHING = 0
    TRUE_POSITIVE = 1
    FALSE_POSITIVE = 2
    FALSE_NEGATIVE = 3


COLOURS: dict[str, dict[Outcome, tuple[int, int, int]]] = {
    # As in the thesis.
    "thesis": {
        Outcome.TRUE_POSITIVE: (0, 170, 60),
        Outcome.FALSE_POSITIVE: (220, 30, 30),
        Outcome.FALSE_NEGATIVE: (40, 80, 230),
    },
    # Okabe and Ito 2008: told apart with every kind of colour vision.
    "colour-blind safe": {
        Outcome.TRUE_POSITIVE: (0, 158, 115),
        Outcome.FALSE_POSITIVE: (213, 94, 0),
        Outcome.FALSE_NEGATIVE: (86, 180, 233),
    },
}


def error_map(truth: Mask, prediction: Mask, valid: Mask | None = None) -> Labels:
    """Compare two masks pixel by pixel.

    Parameters
    ----------
    truth, prediction : bool or integer, (H, W)
        Everything but 0 is positive.
    valid : bool, (H, W), optional
        Where False, the map stays 0: nobody knows what is right there.

    Returns
    -------
    uint8, (H, W)
        Values of :class:`Outcome`.

    Raises
    ------
    SegmentationError
        When the shapes differ.
    """
    t, p = np.asarray(truth) != 0, np.asarray(prediction) != 0
    if t.shape != p.shape:
        raise SegmentationError(
            f"The truth is {t.shape} and the prediction {p.shape}; bring both to one grid."
        )
    out = np.zeros(t.shape, np.uint8)
    out[t & p] = Outcome.TRUE_POSITIVE
    out[~t & p] = Outcome.FALSE_POSITIVE
    out[t & ~p] = Outcome.FALSE_NEGATIVE
    if valid is not None:
        out[~np.asarray(valid, bool)] = Outcome.NOTHING
    return out


def coarser(outcomes: Labels) -> Labels:
    """Halve an error map: the most frequent outcome of each 2 x 2 pixels, errors before the rest.

    Parameters
    ----------
    outcomes : uint8, (H, W)

    Returns
    -------
    uint8, (ceil(H / 2), ceil(W / 2))
        Of a 2 x 2 cell with any error the more frequent kind of error, a miss before an invention;
        else a true positive where there is one.
    """
    height, width = outcomes.shape
    padded = np.pad(outcomes, ((0, height % 2), (0, width % 2)))
    cells = [padded[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    counts = {
        kind: np.sum([cell == kind for cell in cells], axis=0, dtype=np.uint8)
        for kind in list(Outcome)[1:]
    }
    invented, missed = counts[Outcome.FALSE_POSITIVE], counts[Outcome.FALSE_NEGATIVE]
    out = np.where(counts[Outcome.TRUE_POSITIVE] > 0, Outcome.TRUE_POSITIVE, Outcome.NOTHING)
    out = np.where(invented > 0, Outcome.FALSE_POSITIVE, out)
    out = np.where((missed > 0) & (missed >= invented), Outcome.FALSE_NEGATIVE, out)
    return out.astype(np.uint8)


def pyramid(outcomes: Labels, smallest: int = 1024) -> list[Labels]:
    """An error map with its coarse levels, until no side exceeds `smallest` pixels."""
    levels = [outcomes]
    while max(levels[-1].shape) > smallest:
        levels.append(coarser(levels[-1]))
    return levels
