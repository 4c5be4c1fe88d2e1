"""What finding vessels cannot do."""

from napari_histoaug.errors import HistoaugError


class SegmentationError(HistoaugError):
    """A prediction that cannot be made, or two masks that cannot be compared."""
