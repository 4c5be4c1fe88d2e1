"""What our exports say about their slide, in each object's ``metadata``, which QuPath keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from napari_histoaug.slides import Slide

_PREFIX = "histoaug_"


class SlideMark(NamedTuple):
    """Which slide annotations were exported for. All texts, as QuPath's metadata are.

    Attributes
    ----------
    slide : str
        The salted id of the slide.
    key : str
        The same in all exports of one user, whose ids alone can be compared.
    size : str
        ``height x width`` of level 0.
    frame : str
        Name of the frame that the coordinates count in.
    """

    slide: str
    key: str
    size: str
    frame: str

    def members(self) -> dict[str, str]:
        """Return the mark as entries of ``metadata``."""
        return {_PREFIX + name: value for name, value in self._asdict().items()}


def mark_for(slide: Slide, frame: str) -> SlideMark:
    """Return the mark of an open slide; reads the whole file when its id is not known yet."""
    return SlideMark(slide.slide_id(), user_key(), size_text(slide.levels[0].shape), frame)


def mark_in(properties: Any) -> SlideMark | None:
    """Return the mark in the properties of a feature, or None."""
    metadata = properties.get("metadata") if isinstance(properties, dict) else None
    if not isinstance(metadata, dict):
        return None
    found = [metadata.get(_PREFIX + name) for name in SlideMark._fields]
    return SlideMark(*map(str, found)) if all(isinstance(f, str) for f in found) else None


def user_key() -> str:
    """Return eight hex digits that tell exports of one user from those of others."""
    from napari_histoaug.slides.identity import salted_id

    return salted_id("napari-histoaug")[:8]


def size_text(shape: tuple[int, int]) -> str:
    """Return the size of a slide as marks hold it."""
    return f"{shape[0]} x {shape[1]}"
