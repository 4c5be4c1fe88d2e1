"""Which levels a slide is served with, and which of them are too slow to make on demand."""

from __future__ import annotations

from typing import NamedTuple

from napari_histoaug.slides.slide import Slide

#: Side of a served tile in pixels, whatever the file's own tiles are.
TILE = 512
#: Levels are added until the coarsest has no longer side than this.
COARSEST = 1024
#: Neighbouring levels further apart than this get one between them. Vendors' steps of 4 stay.
LARGEST_STEP = 4.5
#: Serving a tile may decode this many stored pixels, a fraction of a second: an eightfold mean of
#: 512 px touches nine tiles of that size along each axis when the two grids do not agree.
MOST_DECODED = (9 * TILE) ** 2


class PyramidLevel(NamedTuple):
    """One served level.

    Attributes
    ----------
    shape : (height, width)
        Pixels.
    downsample : (dy, dx)
        H0 / H and W0 / W.
    stored : int or None
        Index of this level in the slide; None for one averaged from the level before it.
    """

    shape: tuple[int, int]
    downsample: tuple[float, float]
    stored: int | None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.shape[0] // TILE), -(-self.shape[1] // TILE)


def plan_levels(slide: Slide) -> list[PyramidLevel]:
    """Return the slide's levels, with halved ones in wide gaps and below, to `COARSEST` pixels."""
    levels: list[PyramidLevel] = []
    for index, stored in enumerate(slide.levels):
        while levels and max(levels[-1].shape) > LARGEST_STEP * max(stored.shape):
            levels.append(_halved(levels))
        levels.append(PyramidLevel(stored.shape, stored.downsample, index))
    while max(levels[-1].shape) > COARSEST:
        levels.append(_halved(levels))
    return levels


def needs_sidecar(slide: Slide) -> bool:
    """Tell whether some level is too slow to make on demand.

    That is when serving one tile of it would decode more than 21 megapixels of the file: levels
    averaged over a large area (a single level of more than 8192 pixels), or stored in strips or
    tiles that large.
    """
    return any(slow_levels(slide, plan_levels(slide), MOST_DECODED))


def slow_levels(slide: Slide, levels: list[PyramidLevel], most: int) -> list[bool]:
    """Tell of every served level whether a tile of it costs more than so many decoded pixels."""
    return [decoded_pixels(slide, levels, index) > most for index in range(len(levels))]


def decoded_pixels(slide: Slide, levels: list[PyramidLevel], index: int) -> int:
    """Return how many stored pixels are decoded to serve one tile of a level."""
    source = max(i for i in range(index + 1) if levels[i].stored is not None)
    stored = levels[source].stored
    assert stored is not None
    cost = 1
    for axis in (0, 1):
        side = levels[source].shape[axis]
        wanted = min(-(-TILE * side // levels[index].shape[axis]), side)
        cost *= _touched(wanted, slide.tile_shapes[stored][axis], side)
    return cost


def _touched(wanted: int, tile: int, side: int) -> int:
    """Return the length of whole stored tiles under an interval placed as the tile grid is."""
    aligned = wanted % tile == 0 or tile % wanted == 0
    return min((-(-wanted // tile) + (not aligned)) * tile, side)


def _halved(levels: list[PyramidLevel]) -> PyramidLevel:
    full = levels[0].shape
    height, width = (-(-side // 2) for side in levels[-1].shape)
    return PyramidLevel((height, width), (full[0] / height, full[1] / width), None)
