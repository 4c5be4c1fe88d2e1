"""``histoaug train`` and ``histoaug generate``: the scripts, for those who have the wheel only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from napari_histoaug.cli import main
from napari_histoaug.models import SpadeUNet, SpadeUNetConfig
from napari_histoaug.models.folder import GeneratorIndex, save_generator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tissue")
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    labels = np.zeros((128, 128), np.uint8)
    labels[:40, :50] = 1
    for name in ("first_x0_y0", "second_x0_y0"):
        image = rng.integers(100, 255, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")
    torch.manual_seed(0)
    shape = SpadeUNetConfig(width=8, multipliers=(1, 2), spade_hidden=8, unshuffle=4)
    index = GeneratorIndex(name="small", classes=("blood_vessel",), mpp=(0.5, 0.5), patch=64)
    save_generator(folder / "generator", index, SpadeUNet(shape), None)
    return folder


MODELS = {
    "autoencoder": {"widths": [16], "codes": 8, "unshuffle": 2},
    "diffusion": {"width": 8, "multipliers": [1, 2], "spade_hidden": 8, "unshuffle": 4},
    "segmentation": {"encoder": "resnet18", "width": 8, "decoder": [8, 8, 8, 8, 8]},
}
WRITTEN = {"autoencoder": "autoencoder", "diffusion": "generator", "segmentation": "segmenter"}


@pytest.mark.parametrize("network", list(MODELS))
def test_train_writes_what_the_script_writes(tissue: Path, tmp_path: Path, network: str) -> None:
    settings = {
        "data": {
            "tiles": str(tissue), "labels": str(tissue / "labels"), "crop": 32,
            "train_cases": ["first"], "validation_cases": ["second"],
        },
        "model": MODELS[network],
        "loop": {"out": "elsewhere", "steps": 9, "batch": 2, "threads": 1, "sample_every": 0},
    }  # fmt: skip
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(settings))
    given = ["train", network, "--config", str(path), "loop.steps=1", f"loop.out={tmp_path / 'r'}"]
    assert main(given) == 0
    assert any((tmp_path / "r" / WRITTEN[network]).rglob("*.safetensors"))
    assert (tmp_path / "r" / "report.html").exists()


@pytest.fixture
def pairs(tissue: Path, tmp_path: Path) -> list[str]:
    settings = {
        "out": str(tmp_path / "made"), "count": 4, "size": 64, "radius": [6, 9], "steps": 1,
        "model": str(tissue / "generator"), "device": "cpu",
        "source": {"tiles": str(tissue), "labels": str(tissue / "labels"), "cases": ["first"]},
    }  # fmt: skip
    path = tmp_path / "g.yaml"
    path.write_text(yaml.safe_dump(settings))
    return ["generate", "--config", str(path)]


def made(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tiles").glob("*.png"))}


def test_generate_under_the_launcher_makes_in_two_processes_what_one_makes(
    pairs: list[str], tmp_path: Path
) -> None:
    assert main([*pairs, "--shard", "2/2"]) == 0
    assert len(made(tmp_path / "made")) == 2
    assert main(pairs) == 0
    launcher = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=1"),
        *("--num_processes=2", "--main_process_port=0", "--mixed_precision=no"),
        *("--dynamo_backend=no", "-m", "napari_histoaug.cli"),
    ]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*launcher, *pairs, f"out={tmp_path / 'launched'}"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "shard 1/2" in done.stderr
    assert "shard 2/2" in done.stderr
    assert made(tmp_path / "launched") == made(tmp_path / "made")
    assert len(made(tmp_path / "launched")) == 4


def test_a_bad_setting_is_a_sentence_and_the_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "diffusion", "--config", str(tmp_path / "none.yaml")]) == 2
    assert main(["generate", "--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.count("cannot be read") == 2


def test_what_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "napari_histoaug.learning.scripts", raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert main(["train", "diffusion", "--config", "c.yaml"]) == 2
    assert 'pip install "napari-histoaug[train]"' in capsys.readouterr().err
