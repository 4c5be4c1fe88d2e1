from __future__ import annotations

import pytest
import torch

from napari_histoaug.diffusion import FieldNoise, SamplingError, SeededNoise


def test_an_image_does_not_know_its_batch():
    many, one = SeededNoise(7), SeededNoise(7)
    for _ in range(3):
        assert torch.equal(many((4, 2, 5, 5))[:1], one((1, 2, 5, 5)))


def test_seeds_of_images_travel_with_them():
    there = SeededNoise([5, 9, -2])((3, 1, 4, 4))
    back = SeededNoise([-2, 9, 5])((3, 1, 4, 4))
    assert torch.equal(there, back.flip(0))
    assert torch.equal(there[:1], SeededNoise(5)((1, 1, 4, 4)))


def test_images_seeds_streams_and_calls_differ():
    draws = [
        SeededNoise(seed, stream=stream, dtype=torch.float64)((3, 1, 64, 64))
        for seed in (0, 1, 2**63, -1)
        for stream in (0, 1)
    ]
    flat = torch.cat(draws).reshape(24, -1)
    correlation = torch.corrcoef(flat) - torch.eye(24, dtype=torch.float64)
    assert correlation.abs().max() < 0.1
    source = SeededNoise(0)
    assert not torch.equal(source((1, 1, 4, 4)), source((1, 1, 4, 4)))


def test_dtypes_share_the_numbers():
    fine = SeededNoise(3, torch.float64)((2, 3, 8, 8))
    assert torch.equal(SeededNoise(3, torch.float32)((2, 3, 8, 8)), fine.float())
    assert torch.equal(SeededNoise(3, torch.bfloat16)((2, 3, 8, 8)), fine.bfloat16())


def test_too_few_seeds_are_refused():
    with pytest.raises(SamplingError):
        SeededNoise([1])((2, 1, 4, 4))


def test_a_field_belongs_to_places():
    whole = FieldNoise(3)((1, 3, 100, 150))
    part = FieldNoise(3, origin=(30, -20))((1, 2, 80, 70))
    assert torch.equal(part[:, :, :70, 20:], whole[:, :2, 30:, :50])
    seeds = FieldNoise([8, 3])((2, 3, 100, 20))
    assert torch.equal(seeds[1:], whole[..., :20])


def test_a_field_is_standard_normal_and_shares_nothing():
    source, other = FieldNoise(0, torch.float64), FieldNoise(1, torch.float64, stream=1)
    draws = torch.cat([source((2, 1, 128, 128)), source((1, 1, 128, 128)), other((1, 1, 128, 128))])
    squares = draws.reshape(4, 2, 64, 2, 64).transpose(2, 3).reshape(16, -1)
    correlation = torch.corrcoef(squares) - torch.eye(16, dtype=torch.float64)
    assert correlation.abs().max() < 0.08
    assert abs(squares.mean()) < 0.02
    assert squares.std() == pytest.approx(1, abs=0.02)
    with pytest.raises(SamplingError):
        FieldNoise([1])((2, 1, 4, 4))
