"""The diffusion U-Net: its size, its two times, its label map."""

from __future__ import annotations

import pytest
import torch

from napari_histoaug.models import PRESETS, SpadeUNet, SpadeUNetConfig

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


def test_the_bundled_preset_fits_into_thirty_megabytes_with_its_autoencoder() -> None:
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


def test_the_data_set_embedding_matters_only_when_there_is_one() -> None:
    config = SMALL.model_copy(update={"datasets": 2})
    model = awake(config)
    x, t, labels = inputs(config)
    hole = torch.ones(2, 1, 16, 16)
    first, second = (model(x, t, hole, labels, torch.tensor([n, n])) for n in (1, 2))
    unknown = model(x, t, hole, labels)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(unknown, model(x, t, hole, labels, torch.tensor([0, 0])))
