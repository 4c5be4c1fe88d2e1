"""The network as the sampler sees it: guidance, kept modulations, and too little memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_histoaug.diffusion import Window
from napari_histoaug.generation import GenerationError, Generator, inpaint, load_generator
from napari_histoaug.generation.denoiser import Denoiser
from napari_histoaug.generation.device import half_type
from napari_histoaug.models import SpadeUNet
from napari_histoaug.models.folder import SamplingDefaults


def guided_by(generator: Generator, guidance: float) -> Generator:
    sampling = SamplingDefaults(steps=4, guidance=guidance)
    return replace(generator, index=generator.index.model_copy(update={"sampling": sampling}))


def states(n: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    labels = torch.rand(n, 3, 32, 32)
    hole = torch.rand(n, 1, 32, 32) < 0.5
    return (
        torch.randn(n, 3, 32, 32),
        torch.tensor([400] * n),
        hole,
        list(labels / labels.sum(1, True)),
    )


@pytest.fixture
def pixels(pixel_folder: Path) -> Generator:
    return load_generator(pixel_folder, device="cpu")


def test_guidance_extrapolates_from_the_silent_label(pixels: Generator) -> None:
    x, t, hole, labels = states(1)
    silent = torch.zeros(3, 32, 32)
    silent[2] = 1
    said = Denoiser(pixels, labels).whole(x, t, hole)
    nothing = Denoiser(pixels, [silent]).whole(x, t, hole)
    guided = Denoiser(pixels, labels, guidance=2.0)
    found = guided.whole(x, t, hole)
    torch.testing.assert_close(found, nothing + 2 * (said - nothing), atol=2e-2, rtol=2e-2)
    assert guided.evaluations == 1  # one forward pass for both


def test_guidance_one_is_no_guidance(pixels: Generator) -> None:
    x, t, hole, labels = states(1)
    plain, one = (Denoiser(pixels, labels, **o) for o in ({}, {"guidance": 1.0}))
    assert torch.equal(plain.whole(x, t, hole), one.whole(x, t, hole))


def test_only_holes_of_a_class_are_guided(pixels: Generator) -> None:
    x, t, hole, labels = states(2)
    # Of the first image the class lies beside the hole, which is to become background.
    inside = hole[0, 0]
    labels[0][:, inside] = torch.tensor([1.0, 0, 0])[:, None]
    found = Denoiser(pixels, labels, guidance=1e4).whole(x, t, hole)
    plain = Denoiser(pixels, labels).whole(x, t, hole)
    torch.testing.assert_close(found[0], plain[0])
    assert (found[1] - plain[1]).abs().mean() > 0.01


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_kept_modulations_change_nothing(
    pixels: Generator, guidance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, t, hole, labels = states()
    keeping = Denoiser(pixels, labels, guidance)
    first = keeping.whole(x, t, hole)
    assert torch.equal(keeping.whole(x, t, hole), first)
    monkeypatch.setattr("napari_histoaug.generation.denoiser.MAPS_MEMORY", 0)
    made_anew = Denoiser(pixels, labels, guidance)
    assert torch.equal(made_anew.whole(x, t, hole), first)
    assert not made_anew._maps


def test_a_window_sees_its_part_of_the_labels(pixels: Generator) -> None:
    x, t, hole, labels = states(1)
    part = Denoiser(pixels, labels)(x[..., 8:24, 16:], t, hole[..., 8:24, 16:], [Window(0, 8, 16)])
    alone = Denoiser(pixels, [labels[0][:, 8:24, 16:]]).whole(
        x[..., 8:24, 16:], t, hole[..., 8:24, 16:]
    )
    assert torch.equal(part, alone)


def short_of_memory(generator: Generator, fits: Callable[[torch.Tensor], bool]) -> list[tuple]:
    """Let the U-Net run out of memory unless `fits(x)`; returns the shapes that went through."""
    through: list[tuple] = []

    def check(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if not fits(inputs[0]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
        through.append(tuple(inputs[0].shape))

    generator.unet.register_forward_pre_hook(check)
    return through


def test_too_little_memory_halves_the_batch_and_says_so(pixels: Generator) -> None:
    x, t, hole, labels = states(4)
    expected = Denoiser(pixels, labels, guidance=2.0).whole(x, t, hole)
    through = short_of_memory(pixels, lambda seen: len(seen) <= 2)
    denoise = Denoiser(pixels, labels, guidance=2.0)
    found = denoise.whole(x, t, hole)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)
    assert [shape[0] for shape in through] == [2, 2, 2, 2]
    assert denoise.notes == [
        "Memory was short: the network was given 4 at a time.",
        "Memory was short: the network was given 2 at a time.",
    ]
    through.clear()
    denoise.whole(x, t, hole)
    assert len(through) == 4  # and it stays so


def test_too_little_memory_halves_the_window_and_says_so(
    generator: Generator, image: np.ndarray, hole: np.ndarray
) -> None:
    most = 96 // generator.factor
    through = short_of_memory(generator, lambda seen: max(seen.shape[2:]) <= most)
    result = inpaint(generator, image, hole, steps=2)
    assert (result.image == image)[~result.changed].all()
    assert all(max(shape[2:]) <= most for shape in through)
    assert result.evaluations == len(through)
    assert any("windows of" in note for note in result.notes)


def test_no_memory_at_all_is_a_sentence(
    generator: Generator, image: np.ndarray, hole: np.ndarray
) -> None:
    short_of_memory(generator, lambda _: False)
    with pytest.raises(GenerationError, match="too little memory for small, even in windows"):
        inpaint(generator, image, hole, steps=2)


def test_other_errors_of_the_network_are_not_taken_for_lack_of_memory(
    pixels: Generator, image: np.ndarray, hole: np.ndarray
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    pixels.unet.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="a defect"):
        inpaint(pixels, image, hole, steps=2)


def test_half_precision_leaves_norms_and_the_state_in_full(
    pixels: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, t, hole, labels = states(1)
    full = pixels.unet(x, t, hole, labels[0][None])
    for module in ("denoiser", "device"):
        monkeypatch.setattr(
            f"napari_histoaug.generation.{module}.autocast",
            lambda device: torch.autocast(device.type, torch.bfloat16),
        )
    found = Denoiser(replace(pixels), labels).whole(x, t, hole)
    assert found.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in pixels.unet.parameters())
    epsilon = pixels.schedule.gather(t).sqrt() * full + (1 - pixels.schedule.gather(t)).sqrt() * x
    assert float((found - epsilon).abs().mean()) < 0.02 * float(epsilon.abs().mean())
    assert half_type(torch.device("cpu")) in (None, torch.bfloat16)


def test_compiling_is_asked_for(pixel_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(SpadeUNet, "compile", lambda network: compiled.append(network))
    load_generator(pixel_folder, "cpu")
    assert compiled == []
    assert load_generator(pixel_folder, "cpu", compiled=True).unet is compiled[0]
