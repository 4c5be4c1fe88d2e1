"""Finding vessels, and showing where the finding is right or wrong."""

from napari_histoaug.segmentation.error_map import Outcome, error_map
from napari_histoaug.segmentation.errors import SegmentationError

__all__ = ["Outcome", "SegmentationError", "error_map"]
