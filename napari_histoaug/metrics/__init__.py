"""How good is it: right and wrong pixels, distances between sets of pictures, seams, sharpness.

Importing this room loads no torch; only :mod:`.extractors` does.
"""

from napari_histoaug.metrics.confusion import (
    Confusion,
    cohen_kappa,
    confusion,
    confusion_by_class,
)
from napari_histoaug.metrics.distributions import (
    Overlap,
    SubsetDistance,
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
    nearest,
    overlap,
)
from napari_histoaug.metrics.errors import MetricError
from napari_histoaug.metrics.intervals import (
    FIGURES,
    Interval,
    bootstrap,
    mean_over,
    pooled,
    summary,
)
from napari_histoaug.metrics.objects import Matching, label_objects, match_objects
from napari_histoaug.metrics.sharpness import Seam, seam_map, seam_score, sharpness_ratio

__all__ = [
    "FIGURES",
    "Confusion",
    "Interval",
    "Matching",
    "MetricError",
    "Overlap",
    "Seam",
    "SubsetDistance",
    "bootstrap",
    "cohen_kappa",
    "confusion",
    "confusion_by_class",
    "frechet_distance",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "label_objects",
    "match_objects",
    "mean_over",
    "nearest",
    "overlap",
    "pooled",
    "seam_map",
    "seam_score",
    "sharpness_ratio",
    "summary",
]
