"""What the report shows of single fields: tissue, truth and what a cell's segmenter found."""

from __future__ import annotations

from napari_histoaug.models.checkpoints import read_json
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.pictures import Judged
from napari_histoaug.study.predicting import predicted
from napari_histoaug.study.teaching import CELLS, SEGMENTER


def look(config: StudyConfig, cell: str, field: str) -> Judged:
    """Judge a test field again with a cell's segmenter at the threshold of its scores."""
    place = config.out / CELLS / cell
    threshold = float(read_json(place / "scores-test.json")["threshold"])
    (seen,) = predicted(config, place / SEGMENTER, "test", only=field)
    return Judged(seen.image, seen.truth, seen.found(threshold), seen.known)
