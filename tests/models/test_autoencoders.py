"""The tiny autoencoder's starts: cut to its principal directions, and joined by mean colours."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_histoaug.models import TinyAutoencoder, TinyAutoencoderConfig
from napari_histoaug.models.autoencoders import COLOUR_SCALE, narrowed, with_colour


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
