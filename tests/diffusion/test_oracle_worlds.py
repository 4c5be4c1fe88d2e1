"""Every method with every solver, at three correlation lengths and in five shapes of hole.

The figures are exact (see oracle.py), so they may only change when a sampler does.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

LENGTHS = (2.0, 4.0, 8.0)
SHAPES = ("square", "large", "bent", "edge", "scattered")
JUMPS = {"jump_length": 5, "jump_n_sample": 3}
# W2 / posterior deviation: a row a length, a column a shape
TABLE: dict[str, tuple[str, dict[str, Any], list[tuple[float, ...]]]] = {
    "pixel-time, 20": (
        "pixel-time",
        {},
        [
            (0.024, 0.023, 0.025, 0.021, 0.029),
            (0.029, 0.027, 0.030, 0.023, 0.035),
            (0.034, 0.032, 0.036, 0.027, 0.040),
        ],
    ),
    "pixel-time, 20, ddim": (
        "pixel-time",
        {"solver": "ddim"},
        [
            (0.085, 0.085, 0.085, 0.084, 0.087),
            (0.088, 0.088, 0.089, 0.087, 0.093),
            (0.093, 0.092, 0.095, 0.089, 0.099),
        ],
    ),
    "pixel-time, 20, ddim, eta 0.5": (
        "pixel-time",
        {"solver": "ddim", "eta": 0.5},
        [
            (0.099, 0.099, 0.099, 0.098, 0.102),
            (0.103, 0.102, 0.104, 0.100, 0.109),
            (0.109, 0.107, 0.111, 0.103, 0.116),
        ],
    ),
    "pixel-time, 20, ancestral": (
        "pixel-time",
        {"solver": "ancestral"},
        [
            (0.156, 0.154, 0.157, 0.152, 0.164),
            (0.163, 0.160, 0.166, 0.155, 0.175),
            (0.173, 0.169, 0.177, 0.160, 0.186),
        ],
    ),
    "langevin, 50 x (4 + 1)": (
        "langevin",
        {},
        [
            (0.057, 0.059, 0.056, 0.049, 0.036),
            (0.079, 0.098, 0.069, 0.094, 0.039),
            (0.080, 0.110, 0.068, 0.127, 0.037),
        ],
    ),
    "langevin, 17 x (2 + 1)": (
        "langevin",
        {"steps": 17, "corrections": 2},
        [
            (0.153, 0.149, 0.159, 0.123, 0.118),
            (0.206, 0.227, 0.194, 0.215, 0.126),
            (0.212, 0.247, 0.191, 0.284, 0.122),
        ],
    ),
    "langevin, 17 x (2 + 1), ddim": (
        "langevin",
        {"steps": 17, "corrections": 2, "solver": "ddim"},
        [
            (0.168, 0.163, 0.176, 0.135, 0.139),
            (0.225, 0.243, 0.214, 0.230, 0.149),
            (0.232, 0.265, 0.212, 0.302, 0.146),
        ],
    ),
    "repaint, 50/5/5": (
        "repaint",
        {"steps": 50, "jump_length": 5, "jump_n_sample": 5},
        [
            (0.203, 0.198, 0.208, 0.179, 0.187),
            (0.248, 0.261, 0.241, 0.248, 0.207),
            (0.264, 0.285, 0.254, 0.309, 0.227),
        ],
    ),
    "repaint, 20/5/3, ddim": (
        "repaint",
        {"steps": 20, **JUMPS, "solver": "ddim"},
        [
            (0.330, 0.310, 0.356, 0.258, 0.346),
            (0.442, 0.456, 0.449, 0.398, 0.398),
            (0.475, 0.529, 0.469, 0.529, 0.423),
        ],
    ),
    "repaint, 20/5/3, dpmpp-2m": (
        "repaint",
        {"steps": 20, **JUMPS, "solver": "dpmpp-2m"},
        [
            (0.425, 0.402, 0.453, 0.351, 0.428),
            (0.519, 0.532, 0.522, 0.468, 0.434),
            (0.527, 0.594, 0.507, 0.590, 0.414),
        ],
    ),
}


def hole_of(shape: str) -> Tensor:
    """Bool (12, 12)."""
    hole = torch.zeros(12, 12, dtype=torch.bool)
    if shape == "square":
        hole[3:9, 3:9] = True
    elif shape == "large":
        hole[2:10, 2:10] = True
    elif shape == "bent":
        hole[2:10, 2:5] = hole[7:10, 2:10] = True
    elif shape == "edge":
        hole[:, 8:] = True
    else:
        hole = torch.rand(12, 12, generator=torch.Generator().manual_seed(0)) < 0.3
    return hole


@pytest.fixture(scope="module")
def worlds(make_world: Any) -> dict[tuple[float, str], Any]:
    return {
        (length, shape): make_world(length=length, hole=hole_of(shape))
        for length in LENGTHS
        for shape in SHAPES
    }


@pytest.mark.parametrize("sampler", TABLE)
def test_distance_in_every_world(worlds, sampler: str):
    method, options, rows = TABLE[sampler]
    found = [[worlds[n, s].measure(method, **options).w2 for s in SHAPES] for n in LENGTHS]
    assert found == [pytest.approx(row, abs=0.001) for row in rows]


def test_the_ranking_is_the_same_in_every_world():
    best, langevin, repaint = (
        torch.tensor(TABLE[name][2])
        for name in ("pixel-time, 20", "langevin, 50 x (4 + 1)", "repaint, 50/5/5")
    )
    # one hole in one piece; single missing pixels suit Langevin steps (and it spends 245)
    assert bool((best < langevin)[:, :4].all())
    assert bool((langevin < repaint).all())
    assert best.max() <= 0.05


@pytest.mark.parametrize("spacing", ["linear", "quadratic", "karras"])
def test_errors_vanish_with_more_levels_however_they_are_spaced(world, spacing: str):
    few, many = (
        world.measure("pixel-time", steps=steps, spacing=spacing).w2 for steps in (15, 120)
    )
    assert many < few / 3
    assert many < 0.03
