"""The loop: averages, exact resume, what happens when the loss is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_histoaug.learning.config import LoopConfig
from napari_histoaug.learning.loop import Average, Run, StepLoss, TrainingError, checkpoints


class LineTask:
    """Fit y = 3 x - 1 from batches that depend on the step only."""

    opponent = None
    opponent_rate = 0.0

    def __init__(self, spoil_at: int | None = None) -> None:
        self.spoil_at = spoil_at

    def loss(self, model: nn.Module, step: int) -> StepLoss:
        x = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
        error = (model(x) - (3 * x - 1)).square().mean()
        return StepLoss(error * float("nan") if step == self.spoil_at else error)

    def validate(self, model: nn.Module) -> dict[str, float]:
        x = torch.linspace(-1, 1, 9)[:, None]
        return {"held_out_loss": float((model(x) - (3 * x - 1)).square().mean())}


def config(out: Path, steps: int) -> LoopConfig:
    return LoopConfig(out=out, steps=steps, learning_rate=0.05, warmup=3, validate_every=1000)


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
    first.config = config(tmp_path / "halves", 5)
    first.fit(silent)
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


def test_a_lost_loss_stops_and_keeps_a_checkpoint(tmp_path: Path) -> None:
    run = Run(line(), LineTask(spoil_at=4), config(tmp_path, 10))
    with pytest.raises(TrainingError, match="not a number at step 4"):
        run.fit(silent)
    (kept,) = checkpoints(tmp_path)
    assert json.loads((kept / "state.json").read_text())["step"] == 4


def test_two_checkpoints_are_kept_and_torn_ones_ignored(tmp_path: Path) -> None:
    run = Run(line(), LineTask(), config(tmp_path, 3))
    for step in (1, 2, 3):
        run.progress.step = step
        run.save()
    (tmp_path / "checkpoint-00000009.part").mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]


def test_time_ends_a_run_too(tmp_path: Path) -> None:
    limited = config(tmp_path, 10**9).model_copy(update={"minutes": 0.01})
    run = Run(line(), LineTask(), limited)
    run.fit(silent)
    assert 0 < run.progress.step < 10**9
    assert run.progress.seconds >= 0.6
