"""Pictures of the report: right and wrong pixels of test fields, and generated pairs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from napari_histoaug.generation.dataset import LABELS, TILES
from napari_histoaug.learning.tissue import RIM, read_field
from napari_histoaug.metrics import Confusion
from napari_histoaug.segmentation.error_map import COLOURS, Outcome, error_map
from napari_histoaug.study.cells import REAL, RECIPES, Arm, Cell, by_arm, in_order, name_of
from napari_histoaug.study.image_quality import evenly, made_hole

Pixels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
PALETTE = COLOURS["thesis"]
STRENGTH = 0.5  # of the colour over the tissue
SIDE = 380  # px, of a picture of a field
SAMPLE, SAMPLES = 136, 4  # px of a generated pair; pairs shown of a recipe
WINDOW, GAP = 144, 4  # px of the tissue that is shown of a pair; px between pictures
QUALITY = 82


class Picture(NamedTuple):
    """An RGB picture, uint8 (H, W, 3), and what it shows."""

    caption: str
    image: Pixels


class Judged(NamedTuple):
    """A field with what a segmenter found in it.

    Attributes
    ----------
    image : uint8, (H, W, 3)
    truth, found, known : bool, (H, W)
        Nothing counts where `known` is False.
    """

    image: Pixels
    truth: Bool
    found: Bool
    known: Bool


def figure_html(picture: Picture) -> str:
    """A picture with its caption, embedded as JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture.image).save(file, "JPEG", quality=QUALITY, optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def shown_fields(cells: Sequence[Cell], arm: Arm, seed: int) -> dict[str, str]:
    """Test fields to show, chosen by a rule and not by looks.

    Returns
    -------
    dict of str to str
        What makes it worth showing: the field whose Dice rose most from real tissue alone to
        `arm`, the one in the middle, and the one whose Dice fell most (or rose least).
    """
    arms = by_arm(cells, "test")
    ours, real = (
        {cell.seed: cell.fields for cell in arms.get(of, ())}.get(seed, {})
        for of in (arm, (REAL, 0))
    )
    changes = sorted(
        (change, name)
        for name in ours
        if name in real and (change := _change(ours[name], real[name])) is not None
    )
    if len(changes) < 3:
        return {}
    at = {"rose most": -1, "in the middle": len(changes) // 2, "rose least or fell": 0}
    return {why: changes[index][1] for why, index in at.items()}


def _change(ours: Confusion, real: Confusion) -> float | None:
    if ours.dice is None or real.dice is None:
        return None
    return ours.dice - real.dice


def error_pictures(
    cells: Sequence[Cell], arm: Arm, look: Callable[[str, str], Judged]
) -> list[Picture]:
    """Draw the shown fields as they are, by real tissue alone, and by `arm`.

    Parameters
    ----------
    cells : sequence of Cell
    arm : (recipe, ratio)
    look : callable
        Takes the name of a segmenter's cell and of a field.
    """
    both = [of for a in ((REAL, 0), arm) if (of := by_arm(cells, "test").get(a))]
    seeds = set.intersection(*({cell.seed for cell in of} for of in both)) if both else set()
    if len(both) < 2 or not seeds:
        return []
    seed = min(seeds)
    pictures = []
    for why, field in shown_fields(cells, arm, seed).items():
        chosen = [next(cell for cell in of if cell.seed == seed) for of in both]
        looked = [look(name_of(cell), field) for cell in chosen]
        pictures.append(Picture(f"Dice {why}: outlined vessels", small(outlined(looked[0]), SIDE)))
        for cell, judged in zip(chosen, looked, strict=True):
            dice = cell.fields[field].dice
            said = "undefined" if dice is None else f"{dice:.2f}"
            caption = f"{cell.recipe}, {cell.ratio} %, seed {seed}: Dice {said}"
            pictures.append(Picture(caption, small(errors_on(judged), SIDE)))
    return pictures


def errors_on(judged: Judged) -> Pixels:
    """Colour true positives green, false positives red and false negatives blue on the tissue."""
    outcomes = error_map(judged.truth, judged.found, judged.known)
    # Grey tissue: pink and red cells would be taken for false positives.
    grey = judged.image.mean(2, keepdims=True).repeat(3, 2)
    shown = grey.copy()
    for outcome, colour in PALETTE.items():
        where = outcomes == outcome
        shown[where] = (1 - STRENGTH) * grey[where] + STRENGTH * np.array(colour)
        shown[where & ~ndimage.binary_erosion(where, iterations=2)] = colour
    return np.rint(shown).astype(np.uint8)


def outlined(judged: Judged) -> Pixels:
    """The tissue with the outlines of the truth."""
    return with_rim(judged.image, judged.truth, 3, PALETTE[Outcome.TRUE_POSITIVE])


def with_rim(image: Pixels, mask: Bool, width: int, colour: tuple[int, int, int]) -> Pixels:
    """Draw the inner border of a mask (H, W)."""
    shown = image.copy()
    shown[mask & ~ndimage.binary_erosion(mask, iterations=width)] = colour
    return shown


def sample_pictures(pools: Path) -> list[Picture]:
    """Pairs evenly spaced in each pool: what was generated, then its label."""
    pictures = []
    found = {path.name: path for path in pools.glob("*") if (path / TILES).is_dir()}
    for pool in (found[name] for name in in_order(found)):
        columns = []
        for path in evenly(sorted((pool / TILES).glob("*.png")), SAMPLES):
            image, labels = read_field(path, pool / LABELS)
            box = _around(made_hole(labels), WINDOW)
            plain = image[box]
            drawn = with_rim(plain, labels[box] % RIM > 0, 1, PALETTE[Outcome.TRUE_POSITIVE])
            columns.append(np.vstack([_framed(small(each, SAMPLE)) for each in (plain, drawn)]))
        if columns:
            pictures.append(Picture(RECIPES.get(pool.name, pool.name), np.hstack(columns)))
    return pictures


def _around(hole: Bool, side: int) -> tuple[slice, slice]:
    """A square of `side` around a hole, inside the picture; its middle where there is no hole."""
    rows, columns = np.nonzero(hole if hole.any() else np.ones_like(hole))
    corner = [
        int(np.clip((at.min() + at.max() + 1 - side) // 2, 0, max(0, length - side)))
        for at, length in ((rows, hole.shape[0]), (columns, hole.shape[1]))
    ]
    return slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)


def _framed(image: Pixels) -> Pixels:
    """With a white gap to its right and below."""
    return np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def small(image: Pixels, side: int) -> Pixels:
    """Resize so that the longer side has `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
