"""Random holes: areas against the closed form, one smooth piece, shares within bounds."""

import numpy as np
import pytest
from scipy import ndimage

from napari_histoaug.masks import random_hole, vessel_outline


@pytest.mark.parametrize("seed", range(12))
def test_an_outline_has_the_area_of_its_circle_in_one_piece(seed: int) -> None:
    hole = vessel_outline(np.random.default_rng(seed), (256, 300), 35)
    assert hole.sum() == pytest.approx(np.pi * 35**2, rel=0.01)
    assert ndimage.label(hole)[1] == 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(hole), hole)


def test_outlines_differ_in_elongation_but_repeat_with_the_seed() -> None:
    def axes(seed: int) -> float:
        points = np.argwhere(vessel_outline(np.random.default_rng(seed), (200, 200), 25))
        low, high = np.linalg.eigvalsh(np.cov(points.T))
        return float(np.sqrt(high / low))

    ratios = [axes(seed) for seed in range(30)]
    assert min(ratios) < 1.35
    assert max(ratios) > 1.8
    assert axes(4) == ratios[4]


def test_without_roughness_and_elongation_it_is_a_circle_at_its_centre() -> None:
    hole = vessel_outline(
        np.random.default_rng(0), (64, 64), 14, (20.0, 40.0), elongation=(1, 1), roughness=0
    )
    y, x = np.mgrid[:64, :64] + 0.5
    assert (hole != (np.hypot(y - 20, x - 40) <= 14)).sum() <= 2


@pytest.mark.parametrize("centre", [(10.0, 12.5), (-9.0, 30.0), (200.0, 30.0)])
def test_an_outline_over_the_edge_is_cut_there(centre: tuple[float, float]) -> None:
    long = {"elongation": (3.0, 4.0), "roughness": 0.3}
    hole = vessel_outline(np.random.default_rng(3), (50, 60), 20, centre, **long)
    inside = (centre[0] + 250, centre[1] + 250)
    whole = vessel_outline(np.random.default_rng(3), (500, 500), 20, inside, **long)
    np.testing.assert_array_equal(hole, whole[250:300, 250:310])
    assert whole.sum() == pytest.approx(np.pi * 20**2, rel=0.02)


@pytest.mark.parametrize("shape", [(128, 128), (64, 200), (8, 8)])
def test_shares_stay_within_bounds_and_use_them(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    shares = [random_hole(rng, shape).mean() for _ in range(200)]
    assert min(shares) >= 0.02
    assert max(shares) <= 0.6
    if min(shape) > 8:
        assert min(shares) < 0.06
        assert max(shares) > 0.4


def test_half_of_the_labelled_holes_follow_a_label() -> None:
    rng = np.random.default_rng(5)
    labels = np.zeros((128, 128), dtype=np.uint8)
    labels[60:90, 20:50] = 3
    piece = labels > 0
    follows = 0
    for _ in range(200):
        hole = random_hole(rng, labels.shape, labels)
        # Dilated by less than 9 px: everything of the piece, nothing far away.
        follows += bool((hole & piece).sum() == piece.sum() and not hole[:50].any())
    assert 60 < follows < 150


def test_a_tiny_label_is_grown_to_the_smallest_share() -> None:
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[30, 30] = 1
    rng = np.random.default_rng(2)
    assert min(random_hole(rng, (64, 64), labels).mean() for _ in range(50)) >= 0.02


def test_a_mask_too_small_for_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 x 8"):
        random_hole(np.random.default_rng(0), (4, 90))
