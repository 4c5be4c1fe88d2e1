"""What a segmenter says of a result, told beside it."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari_histoaug.segmentation import Segmenter

NO_REALISM = "Realism: no model here."


@dataclass(frozen=True)
class Scores:
    """Of a finished box, or of several as their mean.

    Attributes
    ----------
    label : str
        The class looked for.
    found, before : float
        Share of the hole that the segmenter takes for it, in the result and in the slide.
    segmenter : str
        Its name.
    """

    label: str
    found: float
    before: float
    segmenter: str

    @property
    def sentence(self) -> str:
        """For a reader."""
        name = self.label.replace("_", " ")
        return (
            f"Class: {name} seen in {self.found:.0%} of what was painted, {self.before:.0%} before."
        )


Judge = Callable[[np.ndarray, np.ndarray, np.ndarray, str, Any, str], Scores | str]
"""Takes before, after (uint8 (H, W, 3)), hole (bool (H, W)), class, mpp and device.

Gives a sentence instead, when it cannot say anything.
"""


class SegmenterJudge:
    """Scores results with the bundled segmenter, loaded when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segmenter: Segmenter | str | None = None

    def __call__(
        self,
        before: np.ndarray,
        after: np.ndarray,
        hole: np.ndarray,
        label: str,
        mpp: tuple[float, float] | None,
        device: str,
    ) -> Scores | str:
        """Score a filled hole."""
        from napari_histoaug.segmentation.hole_check import share_found

        with self._lock:
            if self._segmenter is None:
                self._segmenter = _segmenter(device)
        segmenter = self._segmenter
        if isinstance(segmenter, str):
            return segmenter
        found, was = (share_found(segmenter, image, hole, label, mpp) for image in (after, before))
        if found is None or was is None:
            return f"Class: the segmenter does not know {label.replace('_', ' ')}."
        return Scores(label, found, was, segmenter.index.name)


def _segmenter(device: str) -> Segmenter | str:
    """The bundled segmenter, else one added here; a sentence when there is none."""
    from napari_histoaug.segmentation import available_segmenters, load_segmenter
    from napari_histoaug.segmentation.segmenter import DEFAULT

    names = available_segmenters()
    if not names:
        return "Class: no segmenter here."
    try:
        return load_segmenter(DEFAULT if DEFAULT in names else names[0], device)
    except HistoaugError as error:
        return f"Class: {error}"


def packaged_judge() -> Judge | None:
    """The judge, or None without torch."""
    return None if importlib.util.find_spec("torch") is None else SegmenterJudge()


def together(said: Sequence[Scores | str | None]) -> Scores | str | None:
    """What is said of several holes as one: the mean, else the first sentence."""
    scores = [one for one in said if isinstance(one, Scores)]
    if not scores:
        return next((one for one in said if one is not None), None)
    found, before = (float(np.mean([getattr(s, k) for s in scores])) for k in ("found", "before"))
    return Scores(scores[0].label, found, before, scores[0].segmenter)
