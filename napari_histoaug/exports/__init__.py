"""What leaves: pairs, patches, outlines, label images, flattened slides, the journal of edits.

No file written here, and no name of one, names the slide: its salted id stands for it.
"""

from napari_histoaug.exports.errors import ExportError
from napari_histoaug.exports.flat import flatten_to_tiff, flatten_to_zarr
from napari_histoaug.exports.journal import export_journal
from napari_histoaug.exports.kinds import Kind, Order, export
from napari_histoaug.exports.outlines import edits_as_features, export_label_image, export_outlines
from napari_histoaug.exports.patches import PatchOrder, export_patches

__all__ = [
    "ExportError",
    "Kind",
    "Order",
    "PatchOrder",
    "edits_as_features",
    "export",
    "export_journal",
    "export_label_image",
    "export_outlines",
    "export_patches",
    "flatten_to_tiff",
    "flatten_to_zarr",
]
