"""What a study cannot do."""

from napari_histoaug.errors import HistoaugError


class StudyError(HistoaugError):
    """A run folder, or a request to it, that does not fit; its message is one sentence."""
