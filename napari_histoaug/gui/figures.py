"""Figures of what is in view and of the region, counted anew whenever they move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histoaug.gui import comparing_work as work
from napari_histoaug.gui.following import ViewFollower
from napari_histoaug.gui.jobs import Job, JobCallbacks

if TYPE_CHECKING:
    from napari_histoaug.gui.compare_desk import CompareDesk
    from napari_histoaug.gui.geometry import Box
    from napari_histoaug.segmentation.compare import Comparison

VIEW, REGION, SLIDE = "view", "region", "slide"
MOST = 3.6e7
"""Pixels of a view or region that are counted while one moves; more would keep a core busy."""
TOO_LARGE = "zoom in to count"


class LiveFigures:
    """Counts in a quiet job of its own, which gives way to every other.

    Parameters
    ----------
    desk : CompareDesk

    Attributes
    ----------
    places : dict of str to Comparison or str
        Figures of the view and the region, or a sentence why there are none.
    """

    def __init__(self, desk: CompareDesk) -> None:
        self._desk = desk
        self.places: dict[str, Comparison | str] = {}
        self._job: Job | None = None
        self._again = False
        self._follower = ViewFollower(desk.viewer, lambda: None, self.count)
        desk.comparing.compared.connect(self._anew)
        desk.finding.moved.connect(self._anew)
        desk.region.changed.connect(self._anew)

    @property
    def counting(self) -> bool:
        """Figures are being counted, or will be."""
        return self._job is not None or self._follower.is_waiting

    def shown(self) -> dict[str, Comparison]:
        """All figures there are, of the slide, too."""
        found = {p: c for p, c in self.places.items() if not isinstance(c, str)}
        result = self._desk.comparing.result
        return found if result is None else {**found, SLIDE: result.comparison}

    def count(self) -> bool:
        """Count, now or when the running count has ended; False when it is not a good time."""
        desk = self._desk
        if desk.comparing.result is None:
            self.places = {}
            return True
        if desk.busy:
            return False
        if self._job is not None:
            self._again = True
            self._job.cancel()
            return True
        self._start()
        return True

    def stop(self) -> None:
        """Stop counting and wait until the thread has ended."""
        job, self._job, self._again = self._job, None, False
        if job is not None:
            job.close()

    def close(self) -> None:
        """Count no more."""
        self._follower.close()
        self.stop()

    def _anew(self) -> None:
        if not self.count():
            self._follower.later()

    def _start(self) -> None:
        result = self._desk.comparing.result
        assert result is not None
        boxes, too_large = self._boxes(result)
        comparing = self._desk.comparing
        pair, least_iou = comparing.pair_now(), comparing.settings.least_iou
        self._job = Job(
            "counting",
            lambda handle: work.compare_within(handle, pair, boxes, least_iou),
            JobCallbacks(
                done=lambda found: self._done({**found, **too_large}),
                failed=lambda error: self._done({VIEW: str(error)}),
                ended=self._ended,
            ),
        )
        self._job.start()

    def _boxes(self, result: work.Result) -> tuple[dict[str, Box], dict[str, Comparison | str]]:
        """The level-0 boxes to count in, and what is too large for that."""
        desk = self._desk
        wanted = {VIEW: desk.view_box(result.slide_layer), REGION: desk.region_box()}
        pixel = result.pair.grid.spacing[0] * result.pair.grid.spacing[1]
        boxes: dict[str, Box] = {}
        too_large: dict[str, Comparison | str] = {}
        for place, box in wanted.items():
            if box is None:
                continue
            if box[2] * box[3] / pixel > MOST:
                too_large[place] = TOO_LARGE
            else:
                boxes[place] = box
        return boxes, too_large

    def _done(self, places: dict[str, Comparison | str]) -> None:
        self.places = places
        self._desk.changed.emit()

    def _ended(self) -> None:
        self._job = None
        if self._again:
            self._again = False
            self.count()
