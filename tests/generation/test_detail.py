"""Detail that a start had and an autoencoder lost: kept where the state was, left out elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_histoaug.generation import Donor, Generator, load_generator
from napari_histoaug.generation.detail import CHANGE, kept, with_detail
from napari_histoaug.generation.request import Request


def test_the_share_falls_with_the_change_as_it_says() -> None:
    start = torch.randn(1, 12, 8, 10, generator=torch.Generator().manual_seed(0))
    assert (kept(start, start, 8) == 1).all()
    share = kept(start, start + 0.2, 8)
    assert share.shape == (64, 80)
    assert share == pytest.approx(np.full((64, 80), np.exp(-((0.2 / CHANGE) ** 2))), abs=1e-5)
    moved = start.clone()
    moved[..., 6:] += 3
    share = kept(start, moved, 8)
    assert share[:, :32].min() == 1
    assert share[:, 64:].max() < 1e-6


def test_an_unchanged_state_gives_the_original_back_and_a_new_one_nothing_of_it() -> None:
    rng = np.random.default_rng(0)
    original, decoded, made = (rng.integers(20, 250, (16, 16, 3), dtype=np.uint8) for _ in range(3))
    whole, none = np.ones((16, 16), np.float32), np.zeros((16, 16), np.float32)
    assert np.abs(with_detail(decoded, original, decoded, whole).astype(int) - original).max() <= 1
    assert (with_detail(made, original, decoded, none) == made).all()


@pytest.fixture
def latent(latent_folder: object) -> Generator:
    return load_generator(latent_folder, device="cpu")


def test_a_donor_that_was_not_noised_comes_out_as_it_is(latent: Generator) -> None:
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=(96, 96, 3)), (1, 1, 0))
    image = (160 + 60 * texture).clip(0, 255).astype(np.uint8)
    y, x = np.mgrid[:96, :96] - 48
    hole = y**2 + x**2 < 15**2
    donor = Donor(image[::-1].copy(), hole)
    request = Request(latent, image, hole, 1, None, True, donor)
    assert request.placed is not None
    assert request.start is not None
    result, _ = request.in_place(request.start)
    placed = request.placed[0][request.window.cut_hole(request.small_hole)]
    # Only the colour step at the rim, measured to be none, may be taken out.
    assert np.abs(result[hole].astype(int) - placed).max() <= 2
    noised, _ = request.in_place(request.start + 3.0)
    assert np.abs(noised[hole].astype(int) - placed).mean() > 5
