"""What is on the glass: open a slide, read rectangles of it, see it as a zarr pyramid."""

from __future__ import annotations

from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.opening import open_slide
from napari_histoaug.slides.slide import Failure, Level, Slide

__all__ = ["Failure", "Level", "Slide", "SlideError", "open_slide"]
