"""Codes that nothing uses are moved to where the latents are, the same in every run."""

from __future__ import annotations

import torch

from napari_histoaug.learning.codebook import Codebook
from napari_histoaug.models import VQAutoencoder, VQAutoencoderConfig


def trained(every: int, steps: int) -> tuple[VQAutoencoder, Codebook, list[dict[str, float]]]:
    torch.manual_seed(0)
    model = VQAutoencoder(
        VQAutoencoderConfig(latent_channels=4, codes=64, widths=(16,), unshuffle=4)
    ).train()
    book = Codebook(model, every, seed=1)
    figures = []
    for step in range(steps):
        model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(step)))
        figures.append(book.after_step(model, step))
    return model, book, figures


def test_dead_codes_move_onto_latents_and_are_used_from_then_on() -> None:
    model, book, figures = trained(every=3, steps=3)
    before, revived = figures[1]["codes_used"], figures[2]["codes_revived"]
    assert revived > 0
    assert int(book.used.sum()) == 0
    model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2)))
    assert float((book.used > 0).float().mean()) > before
    latents = book._latents
    distances = torch.cdist(latents, model.vq.quantize.embedding.weight.detach())
    assert int((distances.min(0).values < 1e-6).sum()) >= revived * 0.5


def test_the_moves_depend_on_seed_and_step_only() -> None:
    ours, theirs = (trained(every=2, steps=4)[0] for _ in range(2))
    assert torch.equal(ours.vq.quantize.embedding.weight, theirs.vq.quantize.embedding.weight)


def test_looking_does_not_count_and_codes_stay_where_they_are_without_revival() -> None:
    model, book, _ = trained(every=0, steps=2)
    before, counted = model.vq.quantize.embedding.weight.clone(), book.used.clone()
    model.eval()(torch.zeros(1, 3, 32, 32))
    assert torch.equal(book.used, counted)
    assert torch.equal(model.vq.quantize.embedding.weight, before)
