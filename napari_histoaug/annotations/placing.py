"""Annotations on a slide: in which frame they count, and whether they belong to it at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_histoaug.annotations.document import Document
from napari_histoaug.annotations.errors import AnnotationError, FrameError, WrongSlideError
from napari_histoaug.annotations.frame import SLIDE_FRAME, Frame
from napari_histoaug.annotations.index import AnnotationIndex
from napari_histoaug.annotations.marks import SlideMark, size_text, user_key

if TYPE_CHECKING:
    from napari_histoaug.slides import Slide

_MOST_OUTSIDE = 0.01
_AT_A_TIME = 2**20


class Placement(NamedTuple):
    """How annotations lie on a slide.

    Attributes
    ----------
    frame : Frame
        Where their coordinates count from.
    partly, wholly : tuple of int
        Features that lie partly or wholly outside the slide: their numbers in reading order,
        children after their parents.
    share : float
        Of all vertices, how many lie outside, 0 to 1.
    """

    frame: Frame
    partly: tuple[int, ...]
    wholly: tuple[int, ...]
    share: float

    @property
    def sentence(self) -> str:
        """What a user should know; empty when all lies inside."""
        if not self.partly and not self.wholly:
            return ""
        return (
            f"{len(self.wholly)} polygons lie outside the slide and {len(self.partly)} reach over "
            f"its edge: features {_numbers(sorted(self.wholly + self.partly))}."
        )


def place_on(
    annotations: Document | AnnotationIndex,
    slide: Slide,
    frame: str | None = None,
    *,
    source: str = "The annotations",
    strict: bool = True,
) -> Placement:
    """Find out where annotations lie on a slide, and remember it in their ``frame``.

    Parameters
    ----------
    annotations : Document or AnnotationIndex
        Its ``frame`` is set; its coordinates stay as they are.
    slide : Slide
    frame : {"slide", "bounds"}, optional
        What the coordinates count from, when it is known; else it is found out.
    source : str
        What the sentences call the annotations, a file name for instance.
    strict : bool
        Refuse annotations that seem to belong to another slide.

    Returns
    -------
    Placement

    Raises
    ------
    FrameError
        When the coordinates fit the slide in both frames, so that a person has to choose.
    WrongSlideError
        When more than 1 % of the vertices lie outside the slide (and not because one outline
        reaches over its edge), or the annotations were exported for another one.
    """
    index = (
        annotations
        if isinstance(annotations, AnnotationIndex)
        else AnnotationIndex.from_document(annotations)
    )
    if strict and index.mark is not None:
        _compare(index.mark, slide, source)
    stated = frame or annotations.stated_frame or (index.mark.frame if index.mark else None)
    found = _named(stated, slide) if stated else _found(index, slide, source)
    placement = _placement(index, slide.levels[0].shape, found)
    # a single outline drawn over the edge is no sign of another slide
    several = placement.wholly or len(placement.partly) > 1
    if strict and several and placement.share > _MOST_OUTSIDE:
        raise WrongSlideError(_suspicion(placement, len(index), slide, source))
    annotations.frame = found
    if frame is not None and isinstance(annotations, Document):
        annotations.state_frame(frame)
    return placement


def frames_of(slide: Slide) -> dict[str, Frame]:
    """Return the frames in which QuPath may have counted on a slide, by name."""
    frames = {"slide": SLIDE_FRAME}
    height, width = slide.levels[0].shape
    if slide.bounds is not None and tuple(slide.bounds) != (0, 0, height, width):
        frames["bounds"] = Frame("bounds", float(slide.bounds[0]), float(slide.bounds[1]))
    return frames


def _named(name: str, slide: Slide) -> Frame:
    frames = frames_of(slide)
    if name not in frames:
        raise AnnotationError(
            f"{slide.path.name} has no frame {name!r} to count in; choose {' or '.join(frames)}."
        )
    return frames[name]


def _found(index: AnnotationIndex, slide: Slide, source: str) -> Frame:
    frames = frames_of(slide)
    if "bounds" not in frames or slide.bounds is None or not len(index):
        return SLIDE_FRAME
    y, x, height, width = slide.bounds
    # there is nothing to annotate outside the bounds
    on_slide = _share_inside(index, (y, x, height, width)) >= 1 - _MOST_OUTSIDE
    cropped = _share_inside(index, (0, 0, height, width)) >= 1 - _MOST_OUTSIDE
    if on_slide and cropped:
        raise FrameError(
            f"{source} may count from the corner of the slide or, as QuPath does when it crops "
            f"{slide.path.name} to its bounds, from y {y}, x {x}; choose the frame, slide or "
            "bounds.",
            tuple(frames),
        )
    return frames["bounds"] if cropped else SLIDE_FRAME


def _placement(index: AnnotationIndex, shape: tuple[int, int], frame: Frame) -> Placement:
    height, width = shape
    x0, y0, x1, y1 = (index.outlines.bounds + (frame.dx, frame.dy) * 2).T
    inside = (x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height)
    apart = (x1 <= 0) | (y1 <= 0) | (x0 >= width) | (y0 >= height)
    numbers = index.outlines.number
    share = 1 - _share_inside(index, (-frame.dy, -frame.dx, height, width)) if len(index) else 0.0
    return Placement(
        frame,
        tuple(numbers[~inside & ~apart].tolist()),
        tuple(numbers[apart].tolist()),
        share,
    )


def _share_inside(index: AnnotationIndex, box: tuple[float, float, float, float]) -> float:
    """Of all vertices, how many lie in a box (y, x, height, width) of the file's coordinates."""
    vertices = index.outlines.vertices
    low = np.array([box[1], box[0]])
    high = low + np.array([box[3], box[2]])
    inside = 0
    for start in range(0, len(vertices), _AT_A_TIME):
        part = np.asarray(vertices[start : start + _AT_A_TIME])
        inside += int(((part >= low) & (part <= high)).all(axis=1).sum())
    return inside / max(1, len(vertices))


def _compare(mark: SlideMark, slide: Slide, source: str) -> None:
    size = size_text(slide.levels[0].shape)
    if mark.size != size:
        raise WrongSlideError(
            f"{source} were exported for a slide of {mark.size} pixels and {slide.path.name} has "
            f"{size}; open the slide they belong to."
        )
    # ids of another user cannot be compared, and hashing a large slide takes too long to ask
    if mark.key == user_key() and slide.known_sha256() and mark.slide != slide.slide_id():
        raise WrongSlideError(
            f"{source} were exported for another slide of the same size as {slide.path.name}; open "
            "the slide they belong to."
        )


def _suspicion(placement: Placement, count: int, slide: Slide, source: str) -> str:
    others = [name for name in frames_of(slide) if name != placement.frame.name]
    advice = f"count in the frame {others[0]!r}, or they belong" if others else "belong"
    number = len(placement.partly) + len(placement.wholly)
    return (
        f"{number} of the {count} polygons of {source}, {placement.share:.0%} of all vertices, "
        f"lie outside {slide.path.name} ({size_text(slide.levels[0].shape)} pixels): they may "
        f"{advice} to another slide."
    )


def _numbers(numbers: list[int], most: int = 10) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more
