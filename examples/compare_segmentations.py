"""Compare two segmentations, pixel by pixel and object by object, and draw where they differ.

Without arguments it compares two masks that it draws itself::

    python examples/compare_segmentations.py [TRUTH.png PREDICTION.png]

The picture ``errors.png`` shows what both have (green), only the prediction (orange), and only
the truth (blue).
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from napari_histoaug.masks import vessel_outline
from napari_histoaug.metrics import confusion, label_objects, match_objects
from napari_histoaug.segmentation import Outcome, error_map

COLOURS = {
    Outcome.TRUE_POSITIVE: (0, 158, 115),
    Outcome.FALSE_POSITIVE: (230, 159, 0),
    Outcome.FALSE_NEGATIVE: (86, 180, 233),
}


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Two masks of five vessels: one moved a little, one missed, one invented."""
    random = np.random.default_rng(3)
    truth, prediction = np.zeros((2, 400, 400), bool)
    for number, centre in enumerate(((70, 80), (200, 300), (320, 100), (330, 320), (180, 150))):
        vessel = vessel_outline(random, truth.shape, 28, centre)
        if number != 3:
            truth |= vessel
        if number != 4:
            prediction |= np.roll(vessel, 6, axis=1)
    return truth, prediction


def main() -> None:
    """Read or draw, count, picture."""
    if len(sys.argv) > 2:
        truth, prediction = (np.asarray(Image.open(word).convert("L")) > 0 for word in sys.argv[1:])
    else:
        truth, prediction = masks()
    pixels = confusion(truth, prediction)
    objects = match_objects(label_objects(truth), label_objects(prediction)).counts
    for name, counts in (("pixels", pixels), ("vessels (overlap of at least half)", objects)):
        print(f"{name}: {counts.tp} in both, {counts.fp} invented, {counts.fn} missed", end="")
        print(f"; Dice {counts.dice:.2f}" if counts.dice is not None else "")
    outcomes = error_map(truth, prediction)
    picture = np.full((*outcomes.shape, 3), 255, np.uint8)
    for outcome, colour in COLOURS.items():
        picture[outcomes == outcome] = colour
    Image.fromarray(picture).save("errors.png")


if __name__ == "__main__":
    main()
