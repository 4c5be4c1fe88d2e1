"""What an evaluation cannot do."""

from napari_histoaug.errors import HistoaugError


class EvaluationError(HistoaugError):
    """A generator or its held-out tissue that cannot be judged."""
