"""What the expert said: QuPath GeoJSON documents, the class table, label masks."""

from napari_histoaug.annotations.areas import SummedAreas
from napari_histoaug.annotations.classes import ClassTable, TissueClass, preset_names
from napari_histoaug.annotations.document import Document, Feature
from napari_histoaug.annotations.errors import AnnotationError, QuPathWarning
from napari_histoaug.annotations.export import export_for_qupath
from napari_histoaug.annotations.outlines import connected_areas
from napari_histoaug.annotations.raster import rasterize, rasterize_geometry
from napari_histoaug.annotations.reading import read_geojson
from napari_histoaug.annotations.writing import write_geojson

__all__ = [
    "AnnotationError",
    "ClassTable",
    "Document",
    "Feature",
    "QuPathWarning",
    "SummedAreas",
    "TissueClass",
    "connected_areas",
    "export_for_qupath",
    "preset_names",
    "rasterize",
    "rasterize_geometry",
    "read_geojson",
    "write_geojson",
]
