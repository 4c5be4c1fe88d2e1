"""Configurations, the loss in the hole, and the scripts from tissue to a usable generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from PIL import Image
from pydantic import BaseModel
from torch import Tensor, nn

from napari_histoaug.diffusion import linear_schedule, velocity
from napari_histoaug.evaluation.config import ImageEvaluation, SegmentationEvaluation
from napari_histoaug.generation import inpaint, load_generator
from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.learning.autoencoder import hue_loss
from napari_histoaug.learning.batches import Batch, Examples
from napari_histoaug.learning.combining import CombineConfig
from napari_histoaug.learning.config import (
    AutoencoderTraining,
    ConfigError,
    DiffusionTraining,
    load_config,
)
from napari_histoaug.learning.diffusion import DiffusionTask, min_snr_weights, new_unet
from napari_histoaug.learning.scripts import train_autoencoder, train_diffusion
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.tissue import Region, Tissue, pixel_tissue
from napari_histoaug.models import PRESETS, VQAutoencoder, load_autoencoder
from napari_histoaug.patches.run import ExtractConfig
from napari_histoaug.segmentation.filter_scripts import FilterApplication, FilterTraining
from napari_histoaug.segmentation.many_slides import PredictConfig
from napari_histoaug.study.config import StudyConfig

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
    assert load_config(kind_of(path.stem, yaml.safe_load(path.read_text())), path)


def kind_of(name: str, content: dict[str, dict]) -> type[BaseModel]:
    """Which script a shipped configuration is for."""
    others = {
        "apply-filter": FilterApplication,
        "combine": CombineConfig,
        "teach-filter": FilterTraining,
        "evaluate-images": ImageEvaluation,
        "evaluate-segmentation": SegmentationEvaluation,
        "extract": ExtractConfig,
        "predict": PredictConfig,
    }
    if name in others:
        return others[name]
    if name.startswith("study"):
        return StudyConfig
    if "source" in content:
        return DatasetConfig
    model = content.get("model", {})
    if "encoder" in model:
        return SegmentationTraining
    return DiffusionTraining if "multipliers" in model else AutoencoderTraining


def test_overrides_reach_into_sections(settings: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    write(settings, path)
    config = load_config(DiffusionTraining, path, ["loop.batch=7", "model.prediction=epsilon"])
    assert config.loop.batch == 7
    assert config.model.prediction == "epsilon"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("loop.batch=0", r"setting loop\.batch \(input should be greater .*is wrong"),
        ("loop.batch", "has no '='"),
        ("loop.batch=[", "is not YAML"),
        ("loop.bach=3", r"loop\.bach \(there is no such setting\)"),
        ("loop.batch.size=3", "which is a value"),
        ("loop.learning_rate=.inf", r"loop\.learning_rate \(input should be a finite number"),
        ("data.train_cases=[second]", "the case second is among train_cases and validation_cases"),
        ("loop.precision=fp8", r"loop\.precision \(input should be 'no', 'bf16' or 'fp16'"),
    ],
)
def test_bad_values_get_a_sentence(
    settings: dict[str, object], tmp_path: Path, override: str, sentence: str
) -> None:
    write(settings, tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=sentence):
        load_config(DiffusionTraining, tmp_path / "c.yaml", [override])


def test_every_bad_value_is_named(settings: dict[str, object], tmp_path: Path) -> None:
    write(settings, tmp_path / "c.yaml")
    changes = ["loop.batch=0", "model.width=1", "full_share=2"]
    with pytest.raises(
        ConfigError, match=r"settings loop\.batch .*model\.width .*full_share .*are"
    ):
        load_config(DiffusionTraining, tmp_path / "c.yaml", changes)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.width=9", "No network can be built"),
        ("data.crop=60", "use a multiple of 8"),
        ("data.classes=[]", "hold the value 1, but data.classes names 0"),
        ("loop.out=/proc/nowhere/run", "cannot be written to"),
        ("data.tiles=/nowhere", "does not exist; pass data.tiles"),
        ("autoencoder=/nowhere", "has no config.json"),
    ],
)
def test_values_that_only_the_data_or_the_machine_can_judge_get_a_sentence_too(
    settings: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    sentence: str,
) -> None:
    path = write(settings, tmp_path / "c.yaml")
    assert train_diffusion(["--config", path, override]) == 2
    assert sentence in capsys.readouterr().err


class Oracle(nn.Module):
    """Says the right target in the hole, `off` beside it, and nonsense outside the hole."""

    def __init__(self, batch: Batch, prediction: str, off: float = 0.0) -> None:
        super().__init__()
        self.batch, self.prediction, self.off = batch, prediction, off

    def forward(
        self, x: Tensor, t: Tensor, hole: Tensor, labels: Tensor, data_set: Tensor
    ) -> Tensor:
        x0, noise = self.batch["x0"], self.batch["noise"]
        torch.testing.assert_close(x[~hole.expand_as(x)], x0[~hole.expand_as(x0)])
        level = linear_schedule(1000).gather(t)
        target = noise if self.prediction == "epsilon" else velocity(x0, noise, level)
        return torch.where(hole, target + self.off, torch.full_like(target, 99.0))


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_only_the_hole_is_judged_and_the_rest_is_shown_clean(
    settings: dict[str, object], tmp_path: Path, prediction: str
) -> None:
    write(settings, tmp_path / "c.yaml")
    changes = ["full_share=0", f"model.prediction={prediction}", "loop.batch=4"]
    config = load_config(DiffusionTraining, tmp_path / "c.yaml", changes)
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["first"])
    task = DiffusionTask(config, tissue, tissue)
    batch = task.batch(Examples(0, 5, 4, 0, 4))
    assert float(task.loss(Oracle(batch, prediction), batch, 5).total) == pytest.approx(
        0.0, abs=1e-6
    )
    off = Oracle(batch, prediction, 0.5)
    assert float(task.loss(off, batch, 5).total) == pytest.approx(0.25, rel=1e-4)
    weighted = DiffusionTask(config.model_copy(update={"min_snr": 5.0}), tissue, tissue)
    weights = min_snr_weights(linear_schedule(1000).gather(batch["t"]), 5.0, prediction)
    assert float(weighted.loss(off, batch, 5).total) == pytest.approx(
        0.25 * float(weights.mean()), rel=1e-4
    )


def test_min_snr_weights_are_those_of_diffusers() -> None:
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    t = torch.tensor([0, 10, 300, 700, 999])
    snr = compute_snr(scheduler, t)
    capped = snr.clamp(max=5.0)
    level = linear_schedule(1000).gather(t)
    torch.testing.assert_close(
        min_snr_weights(level, 5.0, "epsilon").float(), capped / snr, rtol=1e-3, atol=0
    )
    torch.testing.assert_close(
        min_snr_weights(level, 5.0, "v").float(), capped / (snr + 1), rtol=1e-3, atol=0
    )


def test_times_cover_the_chain_evenly_in_every_batch(
    settings: dict[str, object], tmp_path: Path
) -> None:
    write(settings, tmp_path / "c.yaml")
    config = load_config(DiffusionTraining, tmp_path / "c.yaml")
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["first"])
    t = DiffusionTask(config, tissue, tissue).batch(Examples(0, 1, 10, 0, 10))["t"]
    assert sorted((t // 100).tolist()) == list(range(10))


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


@pytest.mark.parametrize(
    ("name", "latents"),
    [
        ("thesis-vq-4x64x64", (4, 64, 64)),
        ("thesis-vq-8x64x64", (8, 64, 64)),
        ("thesis-vq-4x32x32", (4, 32, 32)),
    ],
)
def test_the_autoencoders_of_the_thesis_make_the_latents_they_are_named_after(
    name: str, latents: tuple[int, int, int]
) -> None:
    config = load_config(AutoencoderTraining, ROOT / "training" / "configs" / f"{name}.yaml")
    assert config.model is not None
    with torch.device("meta"):
        model = VQAutoencoder(config.model)
        image = torch.zeros(1, 3, config.data.crop, config.data.crop)
    assert tuple(model.encode(image).shape[1:]) == latents


@pytest.mark.parametrize(
    ("name", "preset"), [("thesis-90m", "thesis-90m"), ("thesis-latent", "latent")]
)
def test_the_diffusion_settings_are_those_of_the_thesis(name: str, preset: str) -> None:
    config = load_config(DiffusionTraining, ROOT / "training" / "configs" / f"{name}.yaml")
    with torch.device("meta"):
        tissue = Tissue(
            [Region(np.zeros((8, 8, PRESETS[preset].channels)), np.zeros((8, 8), "u1"))]
        )
        assert new_unet(config, tissue).config == PRESETS[preset]
    assert config.loop.batch == 16
    assert config.loop.learning_rate == 2e-4
    assert (config.full_share, config.label_drop, config.min_snr) == (1.0, 0.0, None)
    schedule = linear_schedule(1000)
    assert schedule.betas[[0, -1]].tolist() == [1e-4, 0.02]
