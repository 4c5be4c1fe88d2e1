"""The discriminator: its losses in closed form, what it changes, and how it is resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_histoaug.learning.adversarial import (
    PatchDiscriminator,
    adversarial_weight,
    fooling_loss,
    judging_loss,
)
from napari_histoaug.learning.autoencoder import AutoencoderTask, new_autoencoder
from napari_histoaug.learning.batches import Loader
from napari_histoaug.learning.config import AdversarialConfig, AutoencoderTraining
from napari_histoaug.learning.loop import Run
from napari_histoaug.learning.tissue import Tissue, pixel_tissue


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Tissue:
    folder = tmp_path_factory.mktemp("fields")
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(image).save(folder / "case_x0_y0.png")
    return pixel_tissue(folder, None, ["case"])


def config(out: Path, steps: int, **adversarial: object) -> AutoencoderTraining:
    return AutoencoderTraining.model_validate(
        {
            "data": {"tiles": ".", "train_cases": ["a"], "validation_cases": ["b"], "crop": 32},
            "loop": {"out": out, "steps": steps, "batch": 2, "warmup": 2, "threads": 1},
            "tiny": {"latent_channels": 12, "colour_cell": 4, "width": 8, "blocks": 1, "noise": 1},
            "freeze_encoder": True,
            "adversarial": {"weight": 0.5, "width": 8, "layers": 2, **adversarial},
        }
    )


def run(config: AutoencoderTraining, tissue: Tissue) -> Run:
    model = new_autoencoder(config)
    return Run(model, AutoencoderTask(config, model, tissue, tissue), config.loop)


def step(run: Run) -> dict[str, torch.Tensor]:
    run.loader = Loader(run._make, 1)
    parts = run._step().parts
    run.loader.close()
    return parts


def silent(_: str) -> None:
    """Say nothing."""


def test_the_hinge_losses_are_those_of_the_paper() -> None:
    verdicts = torch.tensor([0.5, 3.0, -2.0, 0.25])[:, None, None, None]
    assert float(judging_loss(verdicts)) == pytest.approx((0.25 + (0 + 1.25) / 2) / 2)
    assert float(fooling_loss(verdicts)) == pytest.approx(-0.4375)


def test_the_weight_rises_from_its_start() -> None:
    given = AdversarialConfig(weight=0.2, start_step=10, ramp=4)
    assert [adversarial_weight(given, step) for step in (0, 10, 12, 14, 99)] == pytest.approx(
        [0, 0, 0.1, 0.2, 0.2]
    )


@pytest.mark.parametrize(("layers", "patch"), [(2, 34), (3, 70)])
def test_a_verdict_depends_on_one_patch(layers: int, patch: int) -> None:
    network = PatchDiscriminator(8, layers).eval()
    image = torch.zeros(1, 3, 160, 160, requires_grad=True)
    verdicts = network(image)
    middle = verdicts.shape[2] // 2
    (slope,) = torch.autograd.grad(verdicts[0, 0, middle, middle], image)
    rows = slope.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch


def test_it_learns_to_tell_and_waits_for_its_start(tmp_path: Path, tissue: Tissue) -> None:
    training = run(config(tmp_path, 3, start_step=2), tissue)
    opponent = training.opponent
    assert opponent is not None
    before = {k: v.clone() for k, v in opponent.bare.named_parameters()}
    assert "adversarial" not in step(training)
    assert all(torch.equal(v, before[k]) for k, v in opponent.bare.named_parameters())
    training.progress.step = 2
    parts = step(training)
    assert {"adversarial", "discriminator"} <= set(parts)
    assert any(not torch.equal(v, before[k]) for k, v in opponent.bare.named_parameters())


def test_its_verdict_reaches_the_decoder(tmp_path: Path, tissue: Tissue) -> None:
    weights = []
    for weight in (0.0, 5.0):
        training = run(config(tmp_path / str(weight), 2, weight=weight, ramp=1), tissue)
        training.fit(silent)
        weights.append(training.bare.state_dict())
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_resumed_run_with_a_discriminator_is_exact(tmp_path: Path, tissue: Tissue) -> None:
    whole = run(config(tmp_path / "whole", 6, start_step=1, ramp=2), tissue)
    whole.fit(silent)
    first = run(config(tmp_path / "halves", 6, start_step=1, ramp=2), tissue)
    first.fit(silent, stop=lambda: first.progress.step == 3)
    second = run(config(tmp_path / "halves", 6, start_step=1, ramp=2), tissue)
    assert second.progress.step == 3
    second.fit(silent)
    for ours, theirs in (
        (second.bare, whole.bare),
        (second.opponent.bare, whole.opponent.bare),  # type: ignore[union-attr]
    ):
        for name, tensor in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], tensor), name
