from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import (
    PRESETS,
    SamplingError,
    Schedule,
    linear_schedule,
    preset,
    sample_inpainting,
)


def test_the_presets_and_what_they_cost():
    assert {p.name: (p.method, p.evaluations) for p in PRESETS.values()} == {
        "paper": ("repaint", 2410),
        "repaint-50": ("repaint", 230),
        "fast": ("langevin", 51),
        "turbo": ("pixel-time", 20),
        "draft": ("pixel-time", 10),
    }
    assert [*PRESETS] == [p.name for p in PRESETS.values()]
    assert all(p.about and "\n" not in p.about for p in PRESETS.values())


@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("name", ["fast", "turbo", "draft"])
def test_a_preset_is_what_the_sampler_takes(scene, name: str, strength: float):
    known, hole = scene
    calls = 0

    def count(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return 0.1 * x

    chosen = preset(name)
    sample_inpainting(
        count,
        known,
        hole,
        chosen.method,
        start=torch.zeros_like(known),
        strength=strength,
        **chosen.parameters,
    )
    assert calls == chosen.count(strength=strength)


def test_another_schedule_may_merge_other_levels():
    short: Schedule = linear_schedule(40)
    assert preset("turbo").count(short) < 20


def test_presets_are_not_for_changing():
    with pytest.raises(TypeError):
        preset("draft").parameters["steps"] = 5  # type: ignore[index]
    with pytest.raises(TypeError):
        PRESETS["mine"] = preset("draft")  # type: ignore[index]


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(SamplingError, match="paper, repaint-50, fast, turbo, draft"):
        preset("best")
