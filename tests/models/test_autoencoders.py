"""The tiny autoencoder's starts, and autoencoders that diffusers wrote."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from napari_histoaug.models import (
    DiffusersAutoencoder,
    LatentStatistics,
    ModelError,
    SpadeUNet,
    SpadeUNetConfig,
    TinyAutoencoder,
    TinyAutoencoderConfig,
    load_autoencoder,
)
from napari_histoaug.models.autoencoders import COLOUR_SCALE, narrowed, with_colour
from napari_histoaug.models.folder import GeneratorIndex, load_parts, save_generator


def test_cut_latents_are_uncorrelated_and_of_unit_variance() -> None:
    torch.manual_seed(0)
    config = TinyAutoencoderConfig(latent_channels=6, width=8, blocks=1, levels=2)
    model = TinyAutoencoder(config).eval()
    with torch.no_grad():
        image = torch.rand(8, 3, 32, 32) * 2 - 1
        small = narrowed(model, model.encode(image).movedim(1, -1).flatten(0, 2), 3, 0.1).eval()
        latents = small.encode(image).movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(torch.cov(latents.T), torch.eye(3), atol=2e-2, rtol=0)
    torch.testing.assert_close(latents.mean(0), torch.zeros(3), atol=1e-3, rtol=0)


def test_mean_colours_join_the_latents_and_change_nothing_at_first() -> None:
    torch.manual_seed(0)
    plain = TinyAutoencoder(
        TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1, levels=2)
    ).eval()
    coloured = with_colour(plain, 4).eval()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        latents = coloured.encode(image)
        torch.testing.assert_close(latents[:, 3:], plain.encode(image))
        torch.testing.assert_close(latents[:, :3], COLOUR_SCALE * F.avg_pool2d(image, 4))
        torch.testing.assert_close(coloured(image)[0], plain(image)[0])


def test_finer_colours_are_folded_and_need_no_encoder() -> None:
    torch.manual_seed(0)
    plain = TinyAutoencoder(TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1, levels=2))
    model = with_colour(plain, 2, keep=False).eval()
    assert model.config.latent_channels == 12
    assert not list(model.encoder.parameters())
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    means = F.pixel_shuffle(model.encode(image), 2)
    torch.testing.assert_close(means, COLOUR_SCALE * F.avg_pool2d(image, 2))
    reconstruction, extra = model(image)
    assert reconstruction.shape == image.shape
    assert float(extra) == 0


def test_only_learned_latents_are_held_near_unit_variance() -> None:
    torch.manual_seed(0)
    config = TinyAutoencoderConfig(
        latent_channels=5, width=8, blocks=1, levels=2, noise=0.1, colour_cell=4
    )
    model = TinyAutoencoder(config).eval()
    image = torch.rand(1, 3, 32, 32)
    learned = model.encode(image)[:, 3:]
    expected = 0.1 * (learned.square().mean() - 1).square()
    torch.testing.assert_close(model(image)[1], expected)


def foreign(kind: str) -> DiffusersAutoencoder:
    torch.manual_seed(0)
    small = {"block_out_channels": (8, 8), "latent_channels": 4, "norm_num_groups": 4}
    down, up = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    blocks = {"down_block_types": down, "up_block_types": up}
    if kind == "AutoencoderTiny":
        network = diffusers.AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8)
        )
    elif kind == "VQModel":
        network = diffusers.VQModel(num_vq_embeddings=16, **small, **blocks)
    else:
        network = diffusers.AutoencoderKL(**small, **blocks)
    return DiffusersAutoencoder(network).eval()


@pytest.mark.parametrize(
    ("kind", "factor"), [("AutoencoderKL", 2), ("VQModel", 2), ("AutoencoderTiny", 8)]
)
def test_autoencoders_of_diffusers_are_taken_as_they_are(
    tmp_path: Path, kind: str, factor: int
) -> None:
    model = foreign(kind)
    assert model.factor == factor
    model.network.save_pretrained(tmp_path)  # what a user brings: a folder diffusers wrote
    again = load_autoencoder(tmp_path)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        latents = again.encode(image)
        torch.testing.assert_close(latents, model.encode(image), rtol=0, atol=0)
        assert latents.shape == (1, 4, 32 // factor, 32 // factor)
        torch.testing.assert_close(again.decode(latents), model(image)[0])


def test_a_generator_with_a_kl_autoencoder_is_hashed_and_reads_back(tmp_path: Path) -> None:
    index = GeneratorIndex(
        name="kl",
        classes=("blood_vessel",),
        mpp=(0.5, 0.5),
        latents=LatentStatistics(mean=(0.0,) * 4, std=(2.0,) * 4),
    )
    unet = SpadeUNet(SpadeUNetConfig(channels=4, width=8, multipliers=(1, 2), spade_hidden=8))
    model = foreign("AutoencoderKL")
    save_generator(tmp_path, index, unet, model)
    parts = load_parts(tmp_path)
    assert parts.latent_space is not None
    assert parts.latent_space.factor == 2
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(parts.latent_space.encode(image), model.encode(image) / 2)
        model.network.encoder.conv_in.bias.add_(1)
    save_generator(tmp_path, index, unet, model)
    assert load_parts(tmp_path).sha256 != parts.sha256


def test_a_spoilt_foreign_autoencoder_is_one_sentence(tmp_path: Path) -> None:
    foreign("AutoencoderKL").save(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    lost = {name: part for name, part in tensors.items() if name != "quant_conv.bias"}
    save_file(lost, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the tensor quant_conv\.bias"):
        load_autoencoder(tmp_path)
    weights.write_bytes(b"\x08")
    with pytest.raises(ModelError, match=r"AutoencoderKL in .* cannot be used") as caught:
        load_autoencoder(tmp_path)
    assert "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be used"):
        load_autoencoder(tmp_path)
