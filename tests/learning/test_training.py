"""Configurations, the loss in the hole, and the scripts from tissue to a usable generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from napari_histoaug.diffusion import velocity
from napari_histoaug.generation import inpaint, load_generator
from napari_histoaug.learning.autoencoder import hue_loss
from napari_histoaug.learning.config import (
    AutoencoderTraining,
    ConfigError,
    DiffusionTraining,
    load_config,
)
from napari_histoaug.learning.diffusion import DiffusionTask
from napari_histoaug.learning.scripts import train_autoencoder, train_diffusion
from napari_histoaug.learning.tissue import pixel_tissue
from napari_histoaug.models import load_autoencoder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    (tmp_path / "labels").mkdir()
    for name in ("first_x0_y0", "second_x0_y0"):
        image = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
        labels = np.zeros((512, 512), np.uint8)
        labels[100:160, 200:300] = 1
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
    return {
        "data": {
            "tiles": str(tmp_path),
            "labels": str(tmp_path / "labels"),
            "train_cases": ["first"],
            "validation_cases": ["second"],
            "crop": 64,
        },
        "model": {"width": 8, "multipliers": [1, 2], "spade_hidden": 8, "unshuffle": 4},
        "loop": {"out": str(tmp_path / "run"), "steps": 2, "batch": 2, "threads": 1},
    }


def write(settings: dict[str, object], path: Path) -> str:
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.mark.parametrize("path", sorted((ROOT / "training" / "configs").glob("*.yaml")), ids=str)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    kind = DiffusionTraining if "multipliers" in content.get("model", {}) else AutoencoderTraining
    assert load_config(kind, path).loop.steps > 0


def test_overrides_reach_into_sections(settings: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    write(settings, path)
    config = load_config(DiffusionTraining, path, ["loop.batch=7", "model.prediction=epsilon"])
    assert config.loop.batch == 7
    assert config.model.prediction == "epsilon"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("loop.batch=0", "loop.batch in .* is wrong"),
        ("loop.batch", "has no '='"),
        ("loop.bach=3", "loop.bach in .* is wrong"),
        ("loop.batch.size=3", "which is a value"),
    ],
)
def test_bad_values_get_a_sentence(
    settings: dict[str, object], tmp_path: Path, override: str, sentence: str
) -> None:
    write(settings, tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=sentence):
        load_config(DiffusionTraining, tmp_path / "c.yaml", [override])


class Oracle(nn.Module):
    """Says the right velocity in the hole and nonsense outside it."""

    def __init__(self, task: DiffusionTask) -> None:
        super().__init__()
        self.task, self.scale = task, nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, t: Tensor, hole: Tensor, labels: Tensor) -> Tensor:
        rng = np.random.default_rng([0, 0, 5])
        x0, _, _ = self.task.batch(self.task.train, rng)
        self.task._timesteps(rng, len(x0))
        noise = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        torch.testing.assert_close(x[~hole.expand_as(x)], x0[~hole.expand_as(x0)])
        target = velocity(x0, noise, self.task.schedule.gather(t))
        return torch.where(hole, target, torch.full_like(target, 99.0)) + self.scale


def test_only_the_hole_is_judged_and_the_rest_is_shown_clean(
    settings: dict[str, object], tmp_path: Path
) -> None:
    write(settings, tmp_path / "c.yaml")
    config = load_config(DiffusionTraining, tmp_path / "c.yaml", ["full_share=0"])
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["first"])
    task = DiffusionTask(config, tissue, tissue)
    assert float(task.loss(Oracle(task), 5).total) == pytest.approx(0.0, abs=1e-6)


def test_from_tissue_to_a_generator_that_inpaints(
    settings: dict[str, object], tmp_path: Path
) -> None:
    path = write(settings, tmp_path / "c.yaml")
    assert train_diffusion(["--config", path]) == 0
    generator = load_generator(tmp_path / "run" / "generator", device="cpu")
    assert generator.classes == ("blood_vessel",)
    assert generator.mpp == (0.5, 0.5)
    image = np.asarray(Image.open(tmp_path / "second_x0_y0.png"))
    hole = np.zeros(image.shape[:2], bool)
    hole[200:240, 200:240] = True
    result = inpaint(generator, image, hole, steps=2)
    assert (result.image != image).any()


def test_from_tissue_to_an_autoencoder_to_latents_to_a_generator(
    settings: dict[str, object], tmp_path: Path
) -> None:
    first = {
        **settings,
        "model": {"widths": [16, 16], "codes": 8, "unshuffle": 2, "latent_channels": 4},
        "loop": {"out": str(tmp_path / "vq"), "steps": 2, "batch": 2, "threads": 1},
    }
    assert train_autoencoder(["--config", write(first, tmp_path / "vq.yaml")]) == 0
    folder = tmp_path / "vq" / "autoencoder"
    assert load_autoencoder(folder).factor == 4
    second = {
        **settings,
        "autoencoder": str(folder),
        "model": {"width": 8, "multipliers": [1, 2], "spade_hidden": 8},
    }
    assert train_diffusion(["--config", write(second, tmp_path / "c.yaml")]) == 0
    generator = load_generator(tmp_path / "run" / "generator", device="cpu")
    assert generator.autoencoder is not None
    assert generator.unet.config.channels == 4


def test_a_bad_configuration_exits_with_two_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_diffusion(["--config", str(tmp_path / "none.yaml")]) == 2
    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert "Traceback" not in said


def test_the_hue_term_sees_red_cells_turned_pink_and_no_brightness() -> None:
    image = torch.zeros(1, 3, 8, 8)
    brighter = image + 0.3
    assert float(hue_loss(brighter, image)) == pytest.approx(0.0)
    less_blue = image.clone()
    less_blue[:, 2] -= 0.4
    assert float(hue_loss(less_blue, image)) == pytest.approx(0.4**2 / 2)
