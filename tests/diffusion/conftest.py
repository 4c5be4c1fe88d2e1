"""The Gaussian world for every test of this room."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch


def _load(module: str) -> Any:
    # Tests are imported by path, so a helper module beside them is too.
    name = f"histoaug_diffusion_{module}"
    if name not in sys.modules:
        path = Path(__file__).with_name(f"{module}.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return sys.modules[name]


@pytest.fixture(scope="session")
def make_world() -> Any:
    """The class `GaussianWorld`: ``make_world(length=4.0, hole_side=6)``."""
    return _load("oracle").GaussianWorld


@pytest.fixture(scope="session")
def world(make_world: Any) -> Any:
    """The world of the published table."""
    return make_world()


@pytest.fixture(scope="session")
def diffusers_repaint() -> Any:
    """The class `DiffusersRePaint` of peer.py."""
    return _load("peer").DiffusersRePaint


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Three float64 images (3, 2, 8, 8) and a different hole for each."""
    known = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hole = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    hole[0, :, 2:6, 2:6] = hole[1, :, :3] = hole[2, :, 4:, 5:] = True
    return known, hole
