"""Teach a tiny network to find red blots, and let it look for them: seconds on a laptop.

What it learns from is drawn here, so that nothing has to be downloaded; for vessels put your own
fields and label maps in place of :func:`draw_fields`::

    python examples/train_tiny_model.py [STEPS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from napari_histoaug.learning.segmentation_script import train_segmentation
from napari_histoaug.metrics import confusion
from napari_histoaug.segmentation import load_segmenter

OUT = Path("runs/tiny")


def draw_fields(folder: Path) -> None:
    """Two fields of grey noise with red squares, and their label maps."""
    random = np.random.default_rng(0)
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name in ("first_x0_y0", "second_x0_y0"):
        image = random.integers(150, 200, (192, 192, 3), dtype=np.uint8)
        labels = np.zeros((192, 192), np.uint8)
        for y, x in random.integers(0, 150, (6, 2)):
            labels[y : y + 40, x : x + 40] = 1
        image[labels > 0] = (200, 40, 40)
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")


def main() -> None:
    """Draw, teach, look."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    fields = OUT / "fields"
    draw_fields(fields)
    config = {
        "data": {
            "tiles": str(fields),
            "labels": str(fields / "labels"),
            "train_cases": ["first"],
            "validation_cases": ["second"],
            "crop": 64,
        },
        "model": {"encoder": "resnet18", "width": 8, "decoder": [8, 8, 8, 8, 8]},
        "validation_crop": 64,
        "window": 64,
        "loop": {
            "out": str(OUT / f"run-{steps}"),
            "steps": steps,
            "batch": 4,
            "ema": 0.5,
            "learning_rate": 0.01,
            "warmup": 5,
            "validate_every": 20,
            "sample_every": 0,
        },
    }
    path = OUT / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    if train_segmentation(["--config", str(path)]) != 0:
        sys.exit(1)

    segmenter = load_segmenter(OUT / f"run-{steps}" / "segmenter", "cpu")
    field = np.asarray(Image.open(fields / "second_x0_y0.png"))
    truth = np.asarray(Image.open(fields / "labels" / "second_x0_y0.png"))
    found = segmenter.labels(segmenter.probabilities(field[None])[0])
    print(f"Dice on the field it never saw: {confusion(truth, found).dice:.2f}")


if __name__ == "__main__":
    main()
