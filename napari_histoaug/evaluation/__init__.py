"""How good a generator is, on tissue that no network has seen."""

from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.evaluation.held_out import HeldOutHole, held_out_holes

__all__ = ["EvaluationError", "HeldOutHole", "held_out_holes"]
