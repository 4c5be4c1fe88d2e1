"""The zarr pyramid over a slide: what the viewer shows."""

from __future__ import annotations

from dataclasses import dataclass

import zarr

from napari_histoaug.slides.slide import Slide
from napari_histoaug.slides.store import Overlay, SlideStore

__all__ = ["Overlay", "Pyramid", "SlideStore", "open_pyramid"]


@dataclass(frozen=True)
class Pyramid:
    """Lazily decoded levels of a slide, with an overlay painted in.

    Attributes
    ----------
    store : SlideStore
        The zarr store; ``zarr.open_group(store, mode="r")`` is an OME-Zarr 0.5 group.
    arrays : list of zarr.Array
        uint8 (H, W, 3), finest first, the coarsest with no side above 1024 pixels.
    downsamples : list of (dy, dx)
        H0 / H and W0 / W of every array.
    """

    store: SlideStore
    arrays: list[zarr.Array]
    downsamples: list[tuple[float, float]]

    def invalidate(self, box: tuple[int, int, int, int]) -> None:
        """Drop cached tiles that touch a level-0 box (y, x, height, width) on every stored level.

        Call it after the overlay changed, then refresh the view. The overlay itself is never
        cached, so what is read next shows its present state at every level.
        """
        self.store.tiles.forget(box)


def open_pyramid(
    slide: Slide,
    overlay: Overlay | None = None,
    cache_mb: float | None = None,
    at_once: bool = True,
) -> Pyramid:
    """Serve a slide as zarr arrays.

    Levels that the file lacks come from the slide's sidecar when there is one (see
    :func:`~napari_histoaug.slides.sidecar.build_sidecar`), else they are averaged on demand.

    Parameters
    ----------
    slide : Slide
    overlay : Overlay, optional
        Painted over the slide's pixels whenever a tile is served.
    cache_mb : float, optional
        Most mebibytes of decoded tiles kept in memory for this pyramid alone. By default all
        pyramids of the process share 256.
    at_once : bool
        False: rather do without a sidecar than hash a large slide now, which is needed once after
        its file was moved.

    Returns
    -------
    Pyramid
    """
    cache_bytes = None if cache_mb is None else int(cache_mb * 2**20)
    store = SlideStore(slide, overlay, cache_bytes, at_once)
    levels = store.tiles.levels
    arrays = [zarr.open_array(store, path=str(i), mode="r") for i in range(len(levels))]
    return Pyramid(store, arrays, [level.downsample for level in levels])
