"""What the expert said: QuPath GeoJSON documents, the class table, label masks."""

from napari_histoaug.annotations.areas import SummedAreas
from napari_histoaug.annotations.classes import (
    ClassTable,
    TissueClass,
    UnknownClassError,
    preset_names,
)
from napari_histoaug.annotations.document import Document, Feature
from napari_histoaug.annotations.errors import (
    AnnotationError,
    AnnotationWarning,
    FrameError,
    QuPathWarning,
    WrongSlideError,
)
from napari_histoaug.annotations.export import export_for_qupath
from napari_histoaug.annotations.frame import Frame
from napari_histoaug.annotations.index import AnnotationIndex
from napari_histoaug.annotations.label_images import write_label_image
from napari_histoaug.annotations.outlines import connected_areas
from napari_histoaug.annotations.placing import Placement, place_on
from napari_histoaug.annotations.problems import Problem
from napari_histoaug.annotations.raster import (
    rasterize,
    rasterize_channels,
    rasterize_geometry,
)
from napari_histoaug.annotations.reading import read_geojson
from napari_histoaug.annotations.showing import Picture
from napari_histoaug.annotations.writing import write_geojson

__all__ = [
    "AnnotationError",
    "AnnotationIndex",
    "AnnotationWarning",
    "ClassTable",
    "Document",
    "Feature",
    "Frame",
    "FrameError",
    "Picture",
    "Placement",
    "Problem",
    "QuPathWarning",
    "SummedAreas",
    "TissueClass",
    "UnknownClassError",
    "WrongSlideError",
    "connected_areas",
    "export_for_qupath",
    "place_on",
    "preset_names",
    "rasterize",
    "rasterize_channels",
    "rasterize_geometry",
    "read_geojson",
    "write_geojson",
    "write_label_image",
]
