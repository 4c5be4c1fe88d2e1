"""What a slide's layer shows: the levels of its session, and showing them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_histoaug.gui.rough import RoughLevel, RoughPicture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Image

    from napari_histoaug.gui.session import SlideSession


def shown_levels(session: SlideSession) -> list[Any]:
    """The arrays for a slide's layer, finest first, uint8 (height, width, 3).

    The pyramid's own; in their place a rough picture for levels that are too slow to make in the
    window, as long as the slide lacks its overview.
    """
    from napari_histoaug.slides.plan import MOST_DECODED, plan_levels, slow_levels

    arrays: list[Any] = list(session.pyramid.arrays)
    if not session.rough:
        return arrays
    slow = slow_levels(session.slide, plan_levels(session.slide), MOST_DECODED)
    picture = RoughPicture(session.slide)
    for index, is_slow in enumerate(slow):
        if is_slow:
            height, width = arrays[index].shape[:2]
            arrays[index] = RoughLevel(
                picture, (height, width), session.downsamples[index], session.edits
            )
    return arrays


def reopen(session: SlideSession, layers: Iterable[Image]) -> None:
    """Show a slide with the overview that was just built for it, in all layers that show it."""
    from napari_histoaug.slides.pyramid import open_pyramid

    session.pyramid = open_pyramid(session.slide, overlay=session.edits)
    session.rough = False
    for layer in layers:
        layer.data = shown_levels(session)


def refresh(layer: Image) -> None:
    """Show a multiscale layer's data anew, at every level.

    napari keeps the coarsest level in memory and has no public way to drop it alone; setting
    ``data`` does, at the price of a flash to the coarsest level.
    """
    if hasattr(layer, "_reset_thumbnail_level_data"):
        layer._reset_thumbnail_level_data()
        layer.refresh()
    else:
        layer.data = layer.data
