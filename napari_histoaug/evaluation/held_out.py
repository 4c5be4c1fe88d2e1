"""Held-out holes: real vessels that no network has seen, with the tissue around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image as Pillow

from napari_histoaug.annotations import connected_areas, rasterize_geometry, read_geojson
from napari_histoaug.annotations.errors import AnnotationError
from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.masks import dilate

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

WINDOW = 256  # px
BEYOND = 3.0  # px around an outline that are made anew, too: nobody outlines to the pixel
CROP = 128  # px; side of the pictures that are compared
LEAST_CROP = 64  # px of tissue in such a picture


@dataclass(frozen=True)
class HeldOutHole:
    """A real vessel with its surroundings, and the hole that would remove it.

    Attributes
    ----------
    field, case : str
        Where it is from.
    image : uint8, (WINDOW, WINDOW, 3)
        As it really looks.
    hole : bool, (WINDOW, WINDOW)
        The outlined vessel and a few pixels more.
    vessel : bool, (WINDOW, WINDOW)
        The outlined vessel.
    """

    field: str
    case: str
    image: Image
    hole: Bool
    vessel: Bool

    def crop(self, image: Image) -> Image:
        """The hole's bounding square of an image of the same window; uint8 (CROP, CROP, 3).

        Figures of whole patches flatter an inpainting, since most pixels are real.
        """
        rows, columns = np.flatnonzero(self.hole.any(1)), np.flatnonzero(self.hole.any(0))
        side = max(int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1, LEAST_CROP)
        y, x = (
            int(np.clip((at[0] + at[-1] + 1 - side) // 2, 0, size - side))
            for at, size in ((rows, image.shape[0]), (columns, image.shape[1]))
        )
        piece = Pillow.fromarray(image[y : y + side, x : x + side])
        return np.asarray(piece.resize((CROP, CROP), Pillow.Resampling.BICUBIC))


def held_out_holes(
    tiles: Path,
    annotations: Path,
    cases: Sequence[str],
    *,
    diameter: tuple[float, float] = (24.0, 180.0),
    most: int | None = None,
    seed: int = 0,
    label: str = "blood_vessel",
) -> list[HeldOutHole]:
    """Collect the outlined vessels of some cases.

    Parameters
    ----------
    tiles : Path
        Fields ``<stem>.jpg`` or ``.png``.
    annotations : Path
        ``<case>/<stem>.geojson``, outlines in pixels of the field.
    cases : sequence of str
        Those that no network was taught on.
    diameter : (float, float)
        Least and largest diameter, in pixels, of the circle with the vessel's area.
    most : int, optional
        Draw so many of them at random, the same number from each case as far as there are.
    seed : int
        Of that draw.
    label : str
        The class that counts as vessel.

    Raises
    ------
    EvaluationError
        When a case has no such vessel.
    """
    found: dict[str, list[HeldOutHole]] = {}
    for case in cases:
        found[case] = []
        for path in sorted((annotations / case).glob("*.geojson")):
            found[case] += _of_field(tiles, path, case, diameter, label)
        if not found[case]:
            raise EvaluationError(
                f"{annotations / case} outlines no {label} of a usable size; outline some first."
            )
    if most is None:
        return [hole for case in cases for hole in found[case]]
    rng = np.random.default_rng(seed)
    drawn = {case: [found[case][i] for i in rng.permutation(len(found[case]))] for case in cases}
    turns = [hole for round_ in range(most) for case in cases for hole in drawn[case][round_:][:1]]
    return turns[:most]


def _of_field(
    tiles: Path, path: Path, case: str, diameter: tuple[float, float], label: str
) -> list[HeldOutHole]:
    image = read_field(tiles, path.stem)
    height, width = image.shape[:2]
    try:
        areas = connected_areas(read_geojson(path), label, (height, width), path)
    except AnnotationError:
        return []  # a field without a vessel
    holes = []
    for area in areas:
        size = 2 * np.sqrt(area.area / np.pi)
        left, top, right, bottom = area.bounds
        cut = left <= 1 or top <= 1 or right >= width - 1 or bottom >= height - 1
        if cut or not diameter[0] <= size <= diameter[1]:
            continue
        if max(right - left, bottom - top) > WINDOW - 32:
            continue  # too little around it
        holes.append(_window(image, area, path.stem, case))
    return holes


def _window(image: Image, area: shapely.Polygon, field: str, case: str) -> HeldOutHole:
    centre_x, centre_y = area.envelope.centroid.coords[0]
    y = int(np.clip(centre_y - WINDOW / 2, 0, image.shape[0] - WINDOW))
    x = int(np.clip(centre_x - WINDOW / 2, 0, image.shape[1] - WINDOW))
    vessel = rasterize_geometry(area, (y, x, WINDOW, WINDOW))
    piece = np.ascontiguousarray(image[y : y + WINDOW, x : x + WINDOW])
    return HeldOutHole(field, case, piece, dilate(vessel, BEYOND), vessel)


def read_field(tiles: Path, stem: str) -> Image:
    """RGB uint8 (H, W, 3) of the field ``<stem>.jpg`` or ``.png``.

    Raises
    ------
    EvaluationError
        When there is none.
    """
    for suffix in (".jpg", ".png"):
        path = tiles / f"{stem}{suffix}"
        if path.exists():
            return np.asarray(Pillow.open(path).convert("RGB"))
    raise EvaluationError(f"{tiles} holds no field {stem}; choose the folder of the tissue fields.")
