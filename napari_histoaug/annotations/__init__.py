"""What the expert said: QuPath GeoJSON documents, the class table, label masks."""

from napari_histoaug.annotations.classes import ClassTable, TissueClass
from napari_histoaug.annotations.errors import AnnotationError, QuPathWarning

__all__ = ["AnnotationError", "ClassTable", "QuPathWarning", "TissueClass"]
