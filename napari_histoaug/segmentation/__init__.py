"""Finding vessels, and showing where the finding is right or wrong."""

from napari_histoaug.segmentation.compare import Comparison, compare, open_pair
from napari_histoaug.segmentation.error_map import Outcome, error_map
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.polygons import outline_labels
from napari_histoaug.segmentation.prediction_store import PredictionStore
from napari_histoaug.segmentation.segmenter import (
    Segmenter,
    available_segmenters,
    load_segmenter,
)
from napari_histoaug.segmentation.whole_slide import predict_slide

__all__ = [
    "Comparison",
    "Outcome",
    "PredictionStore",
    "SegmentationError",
    "Segmenter",
    "available_segmenters",
    "compare",
    "error_map",
    "load_segmenter",
    "open_pair",
    "outline_labels",
    "predict_slide",
]
