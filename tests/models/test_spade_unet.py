"""The diffusion U-Net: its size, its two times, its label map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_histoaug.models
from napari_histoaug.models import PRESETS, SpadeUNet, SpadeUNetConfig, pool_labels
from napari_histoaug.models.blocks import TwoLevelTime

BUNDLED = Path(napari_histoaug.models.__file__).parent / "generators" / "bundled"

SMALL = SpadeUNetConfig(
    channels=4, classes=2, width=16, multipliers=(1, 2), spade_hidden=8, label_input=True
)


def awake(config: SpadeUNetConfig, seed: int = 0) -> SpadeUNet:
    """A network in which no layer is zero, so that every path shows in its output."""
    torch.manual_seed(seed)
    model = SpadeUNet(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model.eval()


def inputs(config: SpadeUNetConfig, size: int = 16) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, config.channels, size, size, generator=generator)
    t = torch.tensor([3, 700])
    labels = torch.rand(2, config.classes + 2, size, size, generator=generator)
    return x, t, labels / labels.sum(1, keepdim=True)


def parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in SpadeUNet(PRESETS[name]).parameters())


def test_the_thesis_preset_has_ninety_million_parameters() -> None:
    assert 85.5e6 <= parameters("thesis-90m") <= 94.5e6
    assert len(PRESETS["thesis-90m"].multipliers) - 1 == 4


def test_the_latent_preset_is_the_thesis_network_on_latents() -> None:
    assert 85.5e6 <= parameters("latent") <= 94.5e6
    assert PRESETS["latent"].channels == 4


def test_the_bundled_preset_is_what_is_bundled_and_fits_into_thirty_megabytes() -> None:
    config = json.loads((BUNDLED / "unet" / "config.json").read_text())
    assert config.pop("_class_name") == "SpadeUNet"
    assert SpadeUNetConfig.model_validate(config) == PRESETS["bundled"]
    assert 2 * parameters("bundled") < 24e6


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_output_has_the_shape_of_the_state(unshuffle: int) -> None:
    config = SMALL.model_copy(update={"unshuffle": unshuffle})
    x, t, labels = inputs(config)
    out = awake(config)(x, t, torch.ones(2, 1, 16, 16), labels)
    assert out.shape == x.shape


def test_a_hole_everywhere_is_ordinary_time() -> None:
    # With m = 1 everywhere the clean embedding must not matter at all.
    model = awake(SMALL)
    x, t, labels = inputs(SMALL)
    hole = torch.ones(2, 1, 16, 16)
    expected = model(x, t, hole, labels)
    noisy, clean = model._times(t, None, x.dtype)
    model._times = lambda *_: (noisy, clean + 5.0)  # type: ignore[method-assign]
    torch.testing.assert_close(model(x, t, hole, labels), expected, rtol=0, atol=0)


def test_a_constant_two_level_time_is_the_scalar_time() -> None:
    # The textbook conditioning, x (1 + scale(t)) + shift(t), computed without any hole.
    torch.manual_seed(0)
    time = TwoLevelTime(8, 6)
    torch.nn.init.normal_(time.project.weight)
    x, noisy, clean = torch.randn(2, 6, 5, 7), torch.randn(2, 8), torch.randn(2, 8)
    for share, embedding in ((1.0, noisy), (0.0, clean)):
        scale, shift = time.project(embedding)[:, :, None, None].chunk(2, dim=1)
        found = time(x, noisy, clean, torch.full((2, 1, 5, 7), share))
        torch.testing.assert_close(found, x * (1 + scale) + shift, rtol=1e-6, atol=1e-6)
    same = time(x, noisy, noisy, torch.rand(2, 1, 5, 7))
    torch.testing.assert_close(same, time(x, noisy, noisy, torch.ones(2, 1, 5, 7)))


def test_a_mixed_time_is_the_mixture_of_scales_and_shifts() -> None:
    time = TwoLevelTime(8, 6)
    torch.nn.init.normal_(time.project.weight)
    x, noisy, clean, m = (torch.randn(2, n) for n in (6, 8, 8, 1))
    m = m.sigmoid()
    at_t, at_zero = time.project(noisy), time.project(clean)
    scale, shift = (m * at_t + (1 - m) * at_zero).chunk(2, dim=1)
    found = time(x[..., None, None], noisy, clean, m[..., None, None])
    torch.testing.assert_close(found[..., 0, 0], x * (1 + scale) + shift)


def test_no_hole_is_time_zero() -> None:
    model = awake(SMALL)
    x, t, labels = inputs(SMALL)
    hole = torch.zeros(2, 1, 16, 16)
    at_t = model(x, t, hole, labels)
    at_zero = model(x, torch.zeros_like(t), hole, labels)
    torch.testing.assert_close(at_t, at_zero, rtol=0, atol=0)


def test_time_hole_and_labels_all_matter() -> None:
    model = awake(SMALL)
    x, t, labels = inputs(SMALL)
    half = torch.zeros(2, 1, 16, 16)
    half[..., :8] = 1
    out = model(x, t, half, labels)
    assert not torch.allclose(out, model(x, t + 100, half, labels))
    assert not torch.allclose(out, model(x, t, 1 - half, labels))
    assert not torch.allclose(out, model(x, t, half, labels.flip(1)))


def test_cached_modulations_change_nothing() -> None:
    model = awake(SMALL)
    x, t, labels = inputs(SMALL)
    hole = torch.ones(2, 1, 16, 16)
    maps = model.modulations(labels, (16, 16))
    torch.testing.assert_close(
        model(x, t, hole, labels, maps=maps), model(x, t, hole, labels), rtol=0, atol=0
    )


def test_labels_may_be_finer_than_the_state() -> None:
    model = awake(SMALL)
    x, t, labels = inputs(SMALL)
    fine = labels.repeat_interleave(4, 2).repeat_interleave(4, 3)
    hole = torch.ones(2, 1, 16, 16)
    torch.testing.assert_close(model(x, t, hole, fine), model(x, t, hole, labels))


def test_a_thin_label_survives_at_every_resolution() -> None:
    model = awake(SMALL)
    labels = torch.zeros(1, 4, 64, 64)
    labels[:, 0] = 1
    thin = labels.clone()
    thin[:, 0, 31, :], thin[:, 1, 31, :] = 0, 1
    pairs = zip(model.modulations(labels, (16, 16)), model.modulations(thin, (16, 16)), strict=True)
    assert all(not torch.equal(a[0], b[0]) for a, b in pairs)


@given(
    st.sampled_from(["thesis-90m", "latent", "bundled"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 255),
    st.integers(0, 255),
)
@settings(max_examples=60)
def test_no_label_vanishes_at_any_spade_level(
    preset: str, height: int, width: int, y: int, x: int
) -> None:
    # Every level's labels hold the painted area, to the last pixel, wherever it lies.
    config = PRESETS[preset]
    labels = torch.zeros(1, config.classes + 2, 256, 256)
    labels[:, 0] = 1
    labels[:, 0, y : y + height, x : x + width] = 0
    labels[:, 1, y : y + height, x : x + width] = 1
    painted = float(labels[:, 1].sum())
    state = 256 if config.channels == 3 else 32
    for level in range(len(config.multipliers)):
        side = state // (config.unshuffle * 2**level)
        pooled = pool_labels(labels, side, side)
        assert float(pooled[:, 1].sum()) * (256 / side) ** 2 == pytest.approx(painted, rel=1e-4)
        assert float(pooled[:, 1].max()) > 0
        torch.testing.assert_close(pooled.sum(1), torch.ones(1, side, side))


def test_the_data_set_embedding_matters_only_when_there_is_one() -> None:
    config = SMALL.model_copy(update={"datasets": 2})
    model = awake(config)
    x, t, labels = inputs(config)
    hole = torch.ones(2, 1, 16, 16)
    first, second = (model(x, t, hole, labels, torch.tensor([n, n])) for n in (1, 2))
    unknown = model(x, t, hole, labels)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(unknown, model(x, t, hole, labels, torch.tensor([0, 0])))
