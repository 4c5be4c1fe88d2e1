"""Real processes: killed in the middle of a step, stopped politely, and two that learn as one."""

from __future__ import annotations

import os
import platform
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from napari_histoaug.learning.journal import read_log
from napari_histoaug.learning.saving import checkpoints
from napari_histoaug.learning.scripts import train_diffusion
from napari_histoaug.models.checkpoints import load_tensors

ROOT = Path(__file__).parents[2]
TRAIN = [
    sys.executable,
    "-c",
    "from napari_histoaug.learning.scripts import train_diffusion as t; raise SystemExit(t())",
]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(0)
    (folder / "labels").mkdir()
    for name in ("first_x0_y0", "second_x0_y0"):
        labels = np.zeros((128, 128), np.uint8)
        labels[30:60, 40:90] = 1
        Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(
            folder / f"{name}.png"
        )
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")
    settings = {
        "data": {
            "tiles": str(folder),
            "labels": str(folder / "labels"),
            "train_cases": ["first"],
            "validation_cases": ["second"],
            "crop": 32,
        },
        "model": {
            "width": 8,
            "multipliers": [1, 2],
            "spade_hidden": 8,
            "unshuffle": 4,
            "dropout": 0.1,
        },
        "loop": {
            "out": "run",
            "steps": 40,
            "batch": 4,
            "threads": 1,
            "save_minutes": 0.0005,
            "sample_every": 0,
        },
    }
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def arguments(configuration: Path, out: Path, *overrides: str) -> list[str]:
    return ["--config", str(configuration), f"loop.out={out}", *overrides]


def started(given: list[str], **environment: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [*TRAIN, *given],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stderr=subprocess.DEVNULL,
    )


def await_step(process: subprocess.Popen[bytes], out: Path, at_least: int) -> None:
    while process.poll() is None:
        found = checkpoints(out)
        if found and int(found[-1].name.split("-")[1]) >= at_least:
            return
        time.sleep(0.002)


def final(out: Path) -> dict[str, torch.Tensor]:
    last = checkpoints(out)[-1]
    return {
        f"{name}.{key}": tensor
        for name in ("model", "average", "model-optimizer")
        for key, tensor in load_tensors(last / f"{name}.safetensors").items()
    }


def assert_equal_runs(ours: Path, theirs: Path) -> None:
    left, right = final(ours), final(theirs)
    assert set(left) == set(right)
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


@pytest.fixture(scope="module")
def uninterrupted(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert train_diffusion(arguments(configuration, out, "loop.save_minutes=5")) == 0
    return out


def test_killed_at_a_random_step_the_same_command_ends_with_the_same_weights(
    configuration: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    process = started(arguments(configuration, tmp_path, "loop.steps=100000"))
    await_step(process, tmp_path, random.randrange(1, 12))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = int(checkpoints(tmp_path)[-1].name.split("-")[1])
    if kept >= 40:
        pytest.skip("this machine was faster than its killer")
    assert train_diffusion(arguments(configuration, tmp_path)) == 0
    assert_equal_runs(tmp_path, uninterrupted)
    steps = [row["step"] for row in read_log(tmp_path) if "loss" in row]
    assert steps == sorted(set(steps))


@pytest.mark.soak
def test_killed_again_and_again_also_while_saving(
    configuration: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    chance = random.Random(0)
    for _ in range(30):
        process = started(arguments(configuration, tmp_path, "loop.save_minutes=1e-9"))
        before = checkpoints(tmp_path)
        step = int(before[-1].name.split("-")[1]) if before else 0
        await_step(process, tmp_path, step + 1)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.wait()
        for folder in checkpoints(tmp_path):
            for path in folder.glob("*.safetensors"):
                load_tensors(path)
    assert train_diffusion(arguments(configuration, tmp_path)) == 0
    assert_equal_runs(tmp_path, uninterrupted)


def test_two_processes_lose_as_one_with_the_doubled_batch(
    configuration: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = ["loop.steps=10", "model.dropout=0", "loop.save_minutes=5"]
    given = arguments(configuration, tmp_path / "two", "loop.batch=2", *common)
    # What accelerate's and torch's launchers tell the processes that they start.
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    pair = [started(given, RANK=n, LOCAL_RANK=n, **shared) for n in ("0", "1")]
    assert train_diffusion(arguments(configuration, tmp_path / "one", *common)) == 0
    assert [process.wait(timeout=120) for process in pair] == [0, 0]
    two, one = (
        {row["step"]: row["loss"] for row in read_log(tmp_path / name) if "loss" in row}
        for name in ("two", "one")
    )
    assert two == pytest.approx(one, rel=1e-5)
    left, right = final(tmp_path / "two"), final(tmp_path / "one")
    for name, tensor in left.items():
        if name.startswith(("model.", "average.")):
            torch.testing.assert_close(tensor, right[name], rtol=1e-3, atol=1e-5)


FAULTS = """
import resource
import torch
from napari_histoaug.learning.processes import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(40, 1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

left = faults()
assert keep_freed_memory()
faults()
print(left, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
def test_memory_is_not_given_back_between_steps() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    left, kept = (int(count) for count in run.stdout.split())
    assert left > 100
    assert kept < left / 10
