"""The loop: averages, exact resume, what happens when the loss is lost."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_histoaug.learning import learner, saving
from napari_histoaug.learning.average import Average
from napari_histoaug.learning.batches import Batch, Examples, Loader
from napari_histoaug.learning.config import ConfigError, LoopConfig
from napari_histoaug.learning.journal import read_log
from napari_histoaug.learning.loop import Run
from napari_histoaug.learning.saving import TrainingError, checkpoints
from napari_histoaug.learning.task import StepLoss, Task
from napari_histoaug.models.checkpoints import load_tensors


class LineTask(Task):
    """Fit y = 3 x - 1."""

    def __init__(self, spoil_at: int | None = None) -> None:
        super().__init__()
        self.spoil_at = spoil_at

    def batch(self, examples: Examples) -> Batch:
        x = np.stack([rng.standard_normal(1, dtype=np.float32) for rng in examples.generators()])
        if examples.step == self.spoil_at:
            x *= np.nan
        return {"x": torch.from_numpy(x)}

    def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        return StepLoss((model(batch["x"]) - (3 * batch["x"] - 1)).square().mean())

    def validate(self, model: nn.Module) -> dict[str, float]:
        x = torch.linspace(-1, 1, 9)[:, None]
        return {"held_out_loss": float((model(x) - (3 * x - 1)).square().mean())}


def config(out: Path, steps: int, **changes: object) -> LoopConfig:
    usual = {"learning_rate": 0.05, "warmup": 3, "validate_every": 1000, "batch": 8}
    return LoopConfig.model_validate({"out": out, "steps": steps, **usual, **changes})


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def silent(_: str) -> None:
    """Say nothing."""


def test_training_learns(tmp_path: Path) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 300))
    before = run.with_average(run.task.validate)["held_out_loss"]
    run.fit(silent)
    after = run.task.validate(run.bare)["held_out_loss"]
    assert after < before / 100


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    whole = Run(line(), LineTask(), config(tmp_path / "whole", 12))
    whole.fit(silent)
    first = Run(line(), LineTask(), config(tmp_path / "halves", 12))
    assert not first.fit(silent, stop=lambda: first.progress.step == 5)
    second = Run(nn.Linear(1, 1), LineTask(), config(tmp_path / "halves", 12))
    assert second.progress.step == 5
    second.fit(silent)
    for name, tensor in whole.bare.state_dict().items():
        assert torch.equal(second.bare.state_dict()[name], tensor)
        assert torch.equal(second.average.weights[name], whole.average.weights[name])


def test_the_average_follows_its_recurrence() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = Average(model, decay=0.5)
    expected = 1.0
    for step, value in enumerate([2.0, 4.0, -1.0, 3.0, 5.0]):
        nn.init.constant_(model.weight, value)
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.weights["weight"].item() == pytest.approx(expected)


def test_using_the_average_puts_the_weights_back(tmp_path: Path) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 5))
    run.fit(silent)
    weight = run.bare.state_dict()["weight"].clone()
    seen = run.with_average(lambda m: m.state_dict()["weight"].clone())
    assert torch.equal(seen, run.average.weights["weight"])
    assert torch.equal(run.bare.state_dict()["weight"], weight)


def test_a_lost_loss_stops_and_keeps_batch_weights_and_the_checkpoint_before(
    tmp_path: Path,
) -> None:
    run = Run(line(), LineTask(spoil_at=4), config(tmp_path, 10, save_minutes=1e-9))
    with pytest.raises(TrainingError, match=r"not a number at step 4.*goes on from checkpoint-0*4"):
        run.fit(silent)
    lost = load_tensors(tmp_path / "lost-00000004" / "batch-0.safetensors")
    assert lost["x"].shape == (8, 1)
    assert lost["x"].isnan().all()
    weights = load_tensors(tmp_path / "lost-00000004" / "model.safetensors")
    saved = load_tensors(checkpoints(tmp_path)[-1] / "model.safetensors")
    assert torch.equal(weights["weight"], saved["weight"])


def test_a_lost_gradient_leaves_the_weights_good(tmp_path: Path) -> None:
    class Cliff(LineTask):
        def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
            # sqrt has an infinite slope at 0, times 0: the loss is 0, its gradient is not a number.
            return StepLoss((model(batch["x"]) * 0).sqrt().sum())

    run = Run(line(), Cliff(), config(tmp_path, 10))
    with pytest.raises(TrainingError, match="The gradient is not a number at step 0"):
        run.fit(silent)
    assert all(p.isfinite().all() for p in run.bare.parameters())


def test_two_checkpoints_are_kept_and_torn_ones_swept(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-00000009.part").mkdir()
    Run(line(), LineTask(), config(tmp_path, 3, save_minutes=1e-9)).fit(silent)
    assert [p.name for p in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]


def test_time_ends_a_run_too(tmp_path: Path) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 10**9, minutes=0.01))
    assert run.fit(silent)
    assert 0 < run.progress.step < 10**9
    assert run.progress.seconds >= 0.6


@pytest.mark.parametrize("moment", ["mkdir", "tensors", "rename"])
def test_a_full_disk_is_a_sentence_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 4, save_minutes=1e-9))
    run.fit(silent, stop=lambda: run.progress.step == 2)

    holder, name = {
        "mkdir": (Path, "mkdir"),
        "tensors": (learner, "save_tensors"),
        "rename": (saving.os, "replace"),
    }[moment]
    usual = getattr(holder, name)

    def full(*args: object, **options: object) -> object:
        if any("checkpoint" in str(each) for each in args):
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(*args, **options)

    again = Run(nn.Linear(1, 1), LineTask(), config(tmp_path, 4, save_minutes=1e-9))
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, full)
        with pytest.raises(TrainingError, match=r"No space left.*checkpoint is checkpoint-0*2\."):
            again.fit(silent)
    assert [p.name for p in tmp_path.glob("checkpoint-*3*")] == []
    third = Run(nn.Linear(1, 1), LineTask(), config(tmp_path, 4))
    assert third.progress.step == 2
    assert third.fit(silent)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that holds a megabyte and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights that this user does not have")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Hoarder(LineTask):
    """Fills the disk after a step; tells nobody."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def after_step(self, model: nn.Module, step: int) -> dict[str, float]:
        with suppress(OSError), self.path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        return {}


# TensorBoard's own thread tells of the disk, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_is_really_full_leaves_the_last_checkpoint_and_goes_on_with_room(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    run = Run(line(), LineTask(), config(small_disk, 5, save_minutes=1e-9))
    run.fit(silent, stop=lambda: run.progress.step == 2)
    again = Run(line(), Hoarder(ballast), config(small_disk, 5, save_minutes=1e-9))
    with pytest.raises(TrainingError, match=r"No space left.*checkpoint is checkpoint-0*2\."):
        again.fit(silent)
    load_tensors(checkpoints(small_disk)[-1] / "model.safetensors")
    ballast.unlink()
    third = Run(nn.Linear(1, 1), LineTask(), config(small_disk, 5))
    assert third.progress.step == 2
    assert third.fit(silent)


def test_a_damaged_or_foreign_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    Run(line(), LineTask(), config(tmp_path, 2)).fit(silent)
    with pytest.raises(TrainingError, match="another shape"):
        Run(nn.Linear(1, 2), LineTask(), config(tmp_path, 2))
    (checkpoints(tmp_path)[-1] / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingError, match=r"damaged at model\.safetensors; delete"):
        Run(line(), LineTask(), config(tmp_path, 2))


def test_accumulated_batches_step_as_one_large_batch(tmp_path: Path) -> None:
    large = Run(line(), LineTask(), config(tmp_path / "large", 5, batch=8))
    small = Run(line(), LineTask(), config(tmp_path / "small", 5, batch=2, accumulate=4))
    for run in (large, small):
        run.fit(silent)
    for ours, theirs in zip(large.bare.parameters(), small.bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_compiled_network_learns_the_same_and_saves_plain_names(tmp_path: Path) -> None:
    plain = Run(line(), LineTask(), config(tmp_path / "plain", 3))
    compiled = Run(line(), LineTask(), config(tmp_path / "compiled", 3, compile="eager"))
    for run in (plain, compiled):
        run.fit(silent)
    torch.testing.assert_close(plain.bare.state_dict(), compiled.bare.state_dict())
    saved = load_tensors(checkpoints(tmp_path / "compiled")[-1] / "model.safetensors")
    assert set(saved) == {"weight", "bias"}


def test_the_log_of_a_killed_run_is_cut_back_to_its_checkpoint(tmp_path: Path) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 20))
    run.fit(silent, stop=lambda: run.progress.step == 10)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 17, "loss": 1.0}\n{"step": 1')
    said: list[str] = []
    Run(line(), LineTask(), config(tmp_path, 20)).fit(said.append)
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows if "loss" in row] == [10, 20]
    assert {"examples_per_second", "data_wait"} <= set(rows[0])
    assert any("examples a second" in line and "min left" in line for line in said)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_examples_do_not_depend_on_how_they_are_shared() -> None:
    whole = Examples(3, 7, 6, 0, 6)
    parts = [Examples(3, 7, 6, first, 2) for first in (0, 2, 4)]
    assert [g.random() for g in whole.generators()] == [
        g.random() for part in parts for g in part.generators()
    ]
    strata = [int(s) for part in parts for s in part.strata()]
    assert strata == whole.strata().tolist()
    assert sorted(strata) == list(range(6))


def test_the_loader_keeps_its_order_works_ahead_and_passes_errors_on() -> None:
    made: list[int] = []

    def make(number: int) -> Batch:
        if number == 3:
            raise OSError("gone")
        made.append(number)
        return {"n": torch.tensor(number)}

    loader = Loader(make, ahead=2)
    assert [int(loader.take(n)["n"]) for n in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        loader.take(3)
    loader.close()
    assert made[:3] == [0, 1, 2]


@pytest.mark.parametrize("precision", ["fp16"])
def test_a_precision_this_machine_lacks_is_a_sentence(tmp_path: Path, precision: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(ConfigError, match=r"loop\.precision=fp16 does not work"):
        Run(line(), LineTask(), config(tmp_path, 1, precision=precision))
