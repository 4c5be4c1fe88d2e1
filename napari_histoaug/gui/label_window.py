"""The photographed label of a slide, in a window of its own: shown, never kept.

The one place where a label image is read at all, and only when the user asks for it by
``histoaug view --show-label``. It is no napari layer, which could be saved.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from napari_histoaug.errors import HistoaugError

LONGEST = 700
"""Larger labels are shown smaller, screen pixels."""


def read_label(path: str | Path) -> np.ndarray:
    """The label image of a slide, uint8 (height, width, 3), through OpenSlide.

    Raises
    ------
    HistoaugError
        When the slide has none, or it cannot be read.
    """
    import openslide

    name = Path(path).name
    try:
        with openslide.OpenSlide(str(path)) as slide:
            label = slide.associated_images.get("label")
    except (openslide.OpenSlideError, OSError) as error:
        raise HistoaugError(
            f"The label of {name} cannot be read by OpenSlide; open it without --show-label."
        ) from error
    if label is None:
        raise HistoaugError(f"{name} carries no label image; open it without --show-label.")
    return np.asarray(label.convert("RGB"))


class LabelWindow(QDialog):
    """Shows a label until it is closed, with its parent at the latest.

    Parameters
    ----------
    pixels : uint8 (height, width, 3)
    parent : QWidget, optional
    """

    def __init__(self, pixels: np.ndarray, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Label: shown only, never saved")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        pixmap = QPixmap.fromImage(image)
        if max(height, width) > LONGEST:
            pixmap = pixmap.scaled(
                LONGEST,
                LONGEST,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        self.picture = QLabel()
        self.picture.setPixmap(pixmap)
        QVBoxLayout(self).addWidget(self.picture)
