"""Pictures for human eyes: a shuffled sheet of real and generated vessels, and rows of fillings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from napari_histoaug.evaluation.held_out import HeldOutHole

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

GAP, TITLE = 8, 18  # px
AROUND, CORNER = 12, 8  # px; from a hole to its corners, and their length
OUTLINE = (0, 0, 0)


@dataclass(frozen=True)
class BlindSheet:
    """A sheet to judge, and what only the one who made it knows.

    Attributes
    ----------
    image : uint8, (H, W, 3)
        Numbered windows.
    real : tuple of bool
        For window 1, 2, ...: whether it shows a real vessel.
    holes : tuple of int
        Which held-out hole each window shows.
    """

    image: Image
    real: tuple[bool, ...]
    holes: tuple[int, ...]


def blind_sheet(
    items: Sequence[HeldOutHole], made: Sequence[Image], *, seed: int = 0, columns: int = 5
) -> BlindSheet:
    """Shuffle real windows and filled ones, corners around the place to judge in each.

    Parameters
    ----------
    items : sequence of HeldOutHole
        Every second one, at random, is shown as it really is; the others filled. No hole is shown
        twice, so that nobody can compare.
    made : sequence of uint8 (H, W, 3)
        Their filled windows.
    seed : int
    columns : int
        Windows a row.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(items))
    real = rng.permutation(np.arange(len(items)) % 2 == 0)
    windows = [
        with_corners(items[hole].image if shown else made[hole], items[hole].hole)
        for hole, shown in zip(order, real, strict=True)
    ]
    titles = [f"{n}" for n in range(1, len(windows) + 1)]
    return BlindSheet(
        tiled(windows, titles, columns),
        tuple(bool(r) for r in real),
        tuple(int(hole) for hole in order),
    )


def rows_of_fillings(items: Sequence[HeldOutHole], images: Mapping[str, Sequence[Image]]) -> Image:
    """One row a hole: the hole drawn on the tissue, what was there, and every filling of it."""
    windows, titles = [], []
    for index, item in enumerate(items):
        windows += [with_outline(item), item.image]
        titles += ["hole", "as it was"]
        for name, made in images.items():
            windows.append(made[index])
            titles.append(name)
    return tiled(windows, titles, 2 + len(images))


def with_corners(image: Image, hole: Bool) -> Image:
    """An image (H, W, 3) with four corners drawn around a hole, beyond what a filling changes."""
    shown = image.copy()
    spans = []
    for axis, size in ((1, hole.shape[0]), (0, hole.shape[1])):
        at = np.flatnonzero(hole.any(axis))
        spans.append((max(int(at[0]) - AROUND, 0), min(int(at[-1]) + AROUND, size - 1)))
    for y, down in zip(spans[0], (1, -1), strict=True):
        for x, right in zip(spans[1], (1, -1), strict=True):
            shown[y, min(x, x + right * CORNER) : max(x, x + right * CORNER) + 1] = OUTLINE
            shown[min(y, y + down * CORNER) : max(y, y + down * CORNER) + 1, x] = OUTLINE
    return shown


def with_outline(item: HeldOutHole) -> Image:
    """The window with the hole's border drawn."""
    inner = item.hole.copy()
    inner[1:-1, 1:-1] &= (
        item.hole[:-2, 1:-1] & item.hole[2:, 1:-1] & item.hole[1:-1, :-2] & item.hole[1:-1, 2:]
    )
    shown = item.image.copy()
    shown[item.hole & ~inner] = OUTLINE
    return shown


def tiled(windows: Sequence[Image], titles: Sequence[str], columns: int) -> Image:
    """Windows of one size on white, with a title above each."""
    height, width = windows[0].shape[:2]
    rows = -(-len(windows) // columns)
    step_y, step_x = height + TITLE + GAP, width + GAP
    canvas = Pillow.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (window, title) in enumerate(zip(windows, titles, strict=True)):
        x, y = GAP + index % columns * step_x, GAP + index // columns * step_y
        draw.text((x, y), title, fill="black")
        canvas.paste(Pillow.fromarray(window), (x, y + TITLE))
    return np.asarray(canvas)
