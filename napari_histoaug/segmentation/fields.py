"""Predicting a view, a region or a slide field by field, for somebody who watches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from napari_histoaug.edits import EditStore
from napari_histoaug.errors import Cancelled
from napari_histoaug.patches.pixels import read_pixels, read_validity
from napari_histoaug.segmentation.live_prediction import CERTAIN, LivePrediction
from napari_histoaug.segmentation.overlap import Float, window_starts, window_weights
from napari_histoaug.segmentation.prediction_store import Box
from napari_histoaug.segmentation.segmenter import Segmenter
from napari_histoaug.segmentation.whole_slide import prediction_grid
from napari_histoaug.slides import Slide

UInt8 = npt.NDArray[np.uint8]
KEPT = 64  # windows of the network that neighbouring fields share


def live_prediction(segmenter: Segmenter, slide: Slide) -> LivePrediction:
    """An empty prediction of a slide, on the pixels that the segmenter sees."""
    about = {
        "segmenter": segmenter.index.name,
        "segmenter_sha256": segmenter.sha256,
        "slide_id": slide.slide_id(),
        "failed_tiles": [],
    }
    grid = prediction_grid(segmenter, slide)
    return LivePrediction(grid, segmenter.classes, segmenter.index.thresholds, about)


def predict_fields(
    segmenter: Segmenter,
    slide: Slide,
    live: LivePrediction,
    boxes: Sequence[Box],
    *,
    edits: EditStore | None = None,
    wanted: Callable[[Box], bool] | None = None,
    batch: int = 4,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    field_done: Callable[[Box], None] | None = None,
) -> None:
    """Predict some fields; what a pixel gets is what :func:`predict_slide` gives it.

    Parameters
    ----------
    segmenter : Segmenter
    slide : Slide
    live : LivePrediction
        Of both; receives the fields.
    boxes : sequence of (y, x, height, width)
        Of ``live.fields()``.
    edits : EditStore, optional
        Accepted edits that are seen.
    wanted : callable, optional
        Told a window's box; False leaves its share at 0, for instance without tissue.
    batch : int
        Windows a network call.
    progress : callable, optional
        Called with (done, total) fields.
    cancelled : callable, optional
        Asked before every network call.
    field_done : callable, optional
        Told each field that was kept.

    Raises
    ------
    napari_histoaug.errors.Cancelled
        When `cancelled` said so; the fields done so far are kept.
    """
    windows = _Windows(segmenter, slide, live, wanted, batch, cancelled)
    # The next field is read while the network works on this one.
    with ThreadPoolExecutor(1, "histoaug-read") as reader:
        waiting = None
        for done, box in enumerate([*boxes, None]):
            upcoming = None
            if box is not None:
                upcoming = reader.submit(_read, slide, live, segmenter.index.patch, box, edits)
            if waiting is not None:
                here, image, corner, valid = waiting.result()
                found = windows.predict(here, image, corner) * valid
                live.write(here, np.rint(found * CERTAIN).clip(0, CERTAIN).astype(np.uint8), valid)
                if field_done is not None:
                    field_done(here)
                if progress is not None:
                    progress(done, len(boxes))
            waiting = upcoming


def _read(
    slide: Slide, live: LivePrediction, patch: int, box: Box, edits: EditStore | None
) -> tuple[Box, UInt8, tuple[int, int], npt.NDArray[np.bool_]]:
    """A field with the pixels of all its windows, where those begin, and what could be read."""
    rows, columns = window_starts(box[0], box[2], patch), window_starts(box[1], box[3], patch)
    around = (rows[0], columns[0], rows[-1] + patch - rows[0], columns[-1] + patch - columns[0])
    image = read_pixels(slide, live.grid, around, edits)
    return box, image, (rows[0], columns[0]), read_validity(slide, live.grid, box)


class _Windows:
    """The windows of the network, each computed once while its neighbours are in use."""

    def __init__(
        self,
        segmenter: Segmenter,
        slide: Slide,
        live: LivePrediction,
        wanted: Callable[[Box], bool] | None,
        batch: int,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._segmenter, self._shape = segmenter, live.grid.shape
        self._wanted, self._batch, self._cancelled = wanted, batch, cancelled
        self._patch = segmenter.index.patch
        self._weights = window_weights(self._patch)
        self._found: OrderedDict[tuple[int, int], Float] = OrderedDict()

    def predict(self, box: Box, image: UInt8, corner: tuple[int, int]) -> Float:
        """Probabilities float32 (classes, height, width) of a field."""
        (y, x, height, width), patch = box, self._patch
        rows, columns = window_starts(y, height, patch), window_starts(x, width, patch)
        places = [(r, c) for r in rows for c in columns if self._is_wanted(r, c)]
        self._compute([p for p in places if p not in self._found], image, corner)
        total = np.zeros((len(self._segmenter.classes), *image.shape[:2]), np.float32)
        for r, c in places:
            top, left = r - corner[0], c - corner[1]
            total[:, top : top + patch, left : left + patch] += self._found[r, c] * self._weights
            self._found.move_to_end((r, c))
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        top, left = y - corner[0], x - corner[1]
        return total[:, top : top + height, left : left + width]

    def _compute(
        self, places: Sequence[tuple[int, int]], image: UInt8, corner: tuple[int, int]
    ) -> None:
        for some in _batches(places, self._batch):
            if self._cancelled is not None and self._cancelled():
                raise Cancelled("Stopped; what was found so far stays.")
            cut = [self._cut(image, r - corner[0], c - corner[1]) for r, c in some]
            found = self._segmenter.probabilities(np.stack(cut))
            self._found.update(zip(some, found, strict=True))

    def _cut(self, image: UInt8, top: int, left: int) -> UInt8:
        return image[top : top + self._patch, left : left + self._patch]

    def _is_wanted(self, y: int, x: int) -> bool:
        height, width = self._shape
        inside = y + self._patch > 0 and x + self._patch > 0 and y < height and x < width
        return inside and (self._wanted is None or self._wanted((y, x, self._patch, self._patch)))


def _batches(items: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
