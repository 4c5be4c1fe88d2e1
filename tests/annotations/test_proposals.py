"""Vessel proposals on drawn fields whose vessels are known, and on one real field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histoaug.annotations.proposals import (
    optical_density,
    propose_vessels,
    red_cell_mask,
)

GROUND, WALL, WHITE, RED = (225, 165, 200), (205, 120, 165), (244, 242, 244), (185, 60, 85)
NUCLEUS = (75, 45, 115)
SIDE = 320


def disc(y: float, x: float, radius: float) -> np.ndarray:
    """Bool (SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.hypot(rows - y, columns - x) <= radius


def ground(seed: int = 0) -> np.ndarray:
    """Pink tissue with scattered nuclei, uint8 (SIDE, SIDE, 3)."""
    random = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), GROUND, np.float64)
    for y, x in random.uniform(0, SIDE, (60, 2)):
        image[disc(y, x, 4)] = NUCLEUS
    return np.clip(image + random.normal(0, 5, image.shape), 0, 255).astype(np.uint8)


def draw_vessel(
    image: np.ndarray, y: float, x: float, radius: float, cells: int, seed: int = 1
) -> np.ndarray:
    """Draw wall, lumen and red cells in place; returns the whole vessel as bool."""
    random = np.random.default_rng(seed)
    vessel = disc(y, x, radius + 9)
    image[vessel] = WALL
    image[disc(y, x, radius)] = WHITE
    distance = (radius - 5) * np.sqrt(random.uniform(0, 1, cells))
    angle = random.uniform(0, 2 * np.pi, cells)
    for r, a in zip(distance, angle, strict=True):
        image[disc(y + r * np.sin(a), x + r * np.cos(a), 4.5)] = RED
    return vessel


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union."""
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize(("radius", "cells"), [(45, 70), (45, 25), (20, 12)])
def test_drawn_vessel_is_outlined_with_lumen_cells_and_wall(radius: float, cells: int) -> None:
    image = ground()
    vessel = draw_vessel(image, 150, 160, radius, cells)
    found = propose_vessels(image)
    assert found.labels.dtype == np.uint8
    assert found.count == 1
    assert overlap(found.labels == 1, vessel) > 0.8
    assert found.red_outside < 0.02
    assert found.area_fraction == pytest.approx((found.labels == 1).mean())


def test_vessel_cut_by_the_border_reaches_the_border() -> None:
    image = ground()
    vessel = draw_vessel(image, 150, 0, 40, 40)
    labels = propose_vessels(image).labels == 1
    assert overlap(labels, vessel) > 0.75
    assert labels[120:180, 0].all()


def test_empty_gaps_and_fat_are_not_vessels() -> None:
    image = ground()
    image[40:60, 20:300] = WHITE
    for y, x in ((150, 100), (150, 180), (230, 140)):
        image[disc(y, x, 38)] = WALL
        image[disc(y, x, 35)] = WHITE
    found = propose_vessels(image)
    assert found.count == 0
    assert not found.labels.any()


def test_fat_beside_a_capillary_stays_tissue() -> None:
    image = ground()
    image[disc(150, 110, 60)] = WHITE
    capillary = draw_vessel(image, 150, 190, 9, 6)
    labels = propose_vessels(image).labels == 1
    assert labels[capillary].mean() > 0.6
    assert labels[disc(150, 110, 50)].mean() < 0.05


def test_packed_red_cells_touching_fat_do_not_make_it_a_lumen() -> None:
    image = ground()
    image[disc(150, 110, 60)] = WHITE
    packed = disc(150, 178, 14)
    image[packed] = RED
    labels = propose_vessels(image).labels == 1
    assert labels[packed].all()
    assert labels[disc(150, 110, 40)].mean() < 0.05


def test_dense_eosin_and_nuclei_are_not_red_cells() -> None:
    image = ground()
    image[disc(150, 150, 60)] = WALL
    assert red_cell_mask(optical_density(image)).mean() < 0.001


def test_lone_red_cell_is_reported_but_not_labelled() -> None:
    image = ground()
    image[disc(150, 150, 3.5)] = RED
    found = propose_vessels(image)
    assert found.red_cells[150, 150]
    assert found.count == 0
    assert found.red_outside == 1.0


def test_blood_between_tissue_nuclei_is_not_a_vessel() -> None:
    image = ground()
    image[disc(150, 150, 70)] = WALL
    for i, y in enumerate(range(90, 211, 8)):
        for j, x in enumerate(range(90, 211, 8)):
            image[disc(y, x, 3.5)] = RED if (i + j) % 2 else NUCLEUS
    found = propose_vessels(image)
    assert found.red_cells.any()
    assert not found.labels.any()


@pytest.mark.parametrize("fill", [0, 255, 200])
def test_flat_fields_of_odd_size_are_empty(fill: int) -> None:
    found = propose_vessels(np.full((67, 91, 3), fill, np.uint8))
    assert found.labels.shape == found.red_cells.shape == (67, 91)
    assert found.count == 0
    assert found.red_outside == 0.0


def test_odd_sized_field_keeps_its_vessel() -> None:
    image = ground()
    vessel = draw_vessel(image, 150, 160, 30, 30)
    labels = propose_vessels(image[:301, :303]).labels == 1
    assert labels.shape == (301, 303)
    assert overlap(labels, vessel[:301, :303]) > 0.8


def test_same_field_gives_same_labels() -> None:
    image = ground()
    draw_vessel(image, 150, 160, 40, 50)
    before = image.copy()
    first, second = propose_vessels(image), propose_vessels(image)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))]
)
def test_other_than_uint8_rgb_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        propose_vessels(image)


def test_real_field_with_blood(shared_data: Path) -> None:
    path = shared_data / "tiles" / "liver-hemangioma_x26624_y17408.jpg"
    if not path.is_file():
        pytest.skip("the field is not on this machine")
    found = propose_vessels(np.asarray(Image.open(path)))
    assert found.labels.shape == (1024, 1024)
    assert found.labels.dtype == np.uint8
    assert set(np.unique(found.labels)) == {0, 1}
    # the vein in the lower left and the one on the right, seen by eye
    assert found.labels[600, 280] == 1
    assert found.labels[400, 770] == 1
    assert 0.5 < 1 - found.red_outside <= 1.0
