"""What shall be filled: holes (True = synthesise here) from polygons, random shapes and brushes."""

from napari_histoaug.masks.morphology import dilate, ring
from napari_histoaug.masks.polygons import polygons_to_mask
from napari_histoaug.masks.shapes import random_hole, vessel_outline

__all__ = ["dilate", "polygons_to_mask", "random_hole", "ring", "vessel_outline"]
