"""What a measure cannot do."""

from napari_histoaug.errors import HistoaugError


class MetricError(HistoaugError, ValueError):
    """A measure was asked of data that it is not defined for."""
