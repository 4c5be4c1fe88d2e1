"""Regions of any size: windows of one state, pieces of the autoencoder, no grid, little memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_histoaug.generation import Generator, inpaint, load_generator, space, synthesize
from napari_histoaug.generation.sampling import window_side


def shapes_through(module: torch.nn.Module) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    return seen


@pytest.fixture
def latents(latent_folder: Path) -> Generator:
    return load_generator(latent_folder, device="cpu")


def test_a_large_map_is_made_in_bounded_memory(latents: Generator) -> None:
    latents = replace(latents, index=latents.index.model_copy(update={"patch": 256}))
    labels = np.zeros((2048, 2048), np.uint8)
    labels[700:1100, 300:1500] = 1
    assert latents.autoencoder is not None
    unet = shapes_through(latents.unet)
    decoder = shapes_through(latents.autoencoder.autoencoder.decoder)
    ticks: list[tuple[int, int]] = []
    result = synthesize(
        latents, labels, steps=1, progress=lambda done, total: ticks.append((done, total))
    )
    assert result.image.shape == (2048, 2048, 3)
    assert ticks == [(1, 1)]
    assert result.evaluations == len(unet) > 20
    assert {shape[0] for shape in unet} == {1}
    assert max(max(shape[2:]) for shape in unet) == 2 * 256 // 8
    assert max(max(shape[2:]) for shape in decoder) == space.PIECE // 8


def test_long_and_thin_maps_are_made_too(generator: Generator) -> None:
    labels = np.zeros((5, 400), np.uint8)
    made = synthesize(generator, labels, steps=1).image
    assert made.shape == (5, 400, 3)
    assert (synthesize(generator, labels, steps=1).image == made).all()


def test_a_large_hole_is_filled_in_windows_that_touch_it(generator: Generator) -> None:
    image = np.random.default_rng(0).integers(0, 256, (500, 300, 3), dtype=np.uint8)
    y, x = np.mgrid[:500, :300]
    hole = (np.abs(y - 250) < 180) & (np.abs(x - 60 - y // 4) < 12)
    seen = shapes_through(generator.unet)
    result = inpaint(generator, image, hole, steps=2, seed=5)
    side = 2 * generator.index.patch // generator.factor
    assert max(max(shape[2:]) for shape in seen) <= side
    assert (result.image == image)[~result.changed].all()
    assert result.changed[hole].all()
    assert (inpaint(generator, image, hole, steps=2, seed=5).image == result.image).all()


def test_small_states_go_through_whole(latents: Generator) -> None:
    assert window_side(latents, (24, 24)) is None
    assert window_side(latents, (24, 25)) == 16


def test_there_is_no_grid(latents: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    # A network that finds nothing to denoise (v = 0: unit white noise is the tissue) must leave
    # white noise, as strong where windows meet as inside them.
    def nothing(x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return torch.zeros_like(x)

    monkeypatch.setattr(latents.unet, "forward", nothing)
    monkeypatch.setattr(space, "AT_ONCE", 1 << 20)
    states: list[torch.Tensor] = []
    monkeypatch.setattr(
        "napari_histoaug.generation.synthesis.decode",
        lambda generator, state: states.append(state) or np.zeros((2048, 512, 3), np.uint8),
    )
    synthesize(latents, np.zeros((2048, 512), np.uint8), steps=8)
    (state,) = states
    assert state.shape == (1, 4, 256, 64)
    spread = state[0].permute(1, 0, 2).flatten(1).std(1).numpy()  # of every row
    jumps = state[0].diff(dim=1).permute(1, 0, 2).flatten(1).abs().mean(1).numpy()
    starts = np.arange(12, 240, 12)  # windows of 16 cells that share 4
    meeting = np.isin(np.arange(255), np.concatenate([starts + k for k in range(4)]))
    for measured, tolerance in ((spread[:255], 0.03), (jumps, 0.03)):
        ratio = measured[meeting].mean() / measured[~meeting].mean()
        assert ratio == pytest.approx(1, abs=tolerance)


def test_pieces_of_a_convolution_are_the_whole(
    latents: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A decoder of one layer sees 8 px around: pieces that share more than that are exact.
    class Stretch(torch.nn.Module):
        factor = 8

        def decode(self, x: torch.Tensor) -> torch.Tensor:
            grown = torch.nn.functional.interpolate(x[:, :3], scale_factor=8, mode="bilinear")
            return torch.tanh(grown)

        def encode(self, image: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(image, 8)

    made = Stretch()
    monkeypatch.setattr(latents.autoencoder, "forward", None)
    monkeypatch.setattr(latents.autoencoder, "decode", made.decode)
    monkeypatch.setattr(latents.autoencoder, "encode", made.encode)
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(4, 90, 75)), (0, 4, 4))
    state = torch.from_numpy(8 * smooth[None]).float()
    whole = space.decode(latents, state)
    monkeypatch.setattr(space, "AT_ONCE", 64)
    monkeypatch.setattr(space, "PIECE", 256)
    pieces = space.decode(latents, state)
    # Bilinear stretching repeats the border of a piece, half a cell that weighs next to nothing.
    assert np.abs(pieces.astype(int) - whole).max() <= 1
    torch.testing.assert_close(
        space.encode(latents, whole),
        made.encode(torch.from_numpy(whole / 127.5 - 1).permute(2, 0, 1)[None].float()),
        atol=1e-5,
        rtol=1e-5,
    )
