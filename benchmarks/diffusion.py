"""Claim: a network with a time per pixel needs a hundredth of RePaint's evaluations for less error.

Every sampler of ``napari_histoaug.diffusion`` runs against the exact posterior of a Gaussian world
(tests/diffusion/oracle.py): error is the Wasserstein-2 distance over the posterior deviation, with
a perfect denoiser. The peer is RePaint in its published setting, in the same run.

    python benchmarks/diffusion.py            # two seconds; --paper adds 2410 evaluations (2 GB)
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("pixel-time DPM++(2M) 10", "pixel-time", {"steps": 10}),
    ("pixel-time DPM++(2M) 20", "pixel-time", {"steps": 20}),
    ("pixel-time DPM++(2M) 20 linear", "pixel-time", {"steps": 20, "spacing": "linear"}),
    ("pixel-time DPM++(2M) 20 karras", "pixel-time", {"steps": 20, "spacing": "karras"}),
    ("pixel-time DPM++(2M) 30", "pixel-time", {"steps": 30}),
    ("pixel-time DDIM 20", "pixel-time", {"steps": 20, "solver": "ddim"}),
    ("pixel-time ancestral 20", "pixel-time", {"steps": 20, "solver": "ancestral"}),
    ("pixel-time ancestral 50", "pixel-time", {"steps": 50, "solver": "ancestral"}),
    ("Langevin 17 x (2+1), 1.0", "langevin", {"steps": 17, "corrections": 2, "langevin_size": 1.0}),
    ("Langevin 17 x (2+1), 1.7", "langevin", {"steps": 17, "corrections": 2, "langevin_size": 1.7}),
    ("Langevin 50 x (4+1), 1.4", "langevin", {"steps": 50, "corrections": 4}),
    ("RePaint 25/5/2", "repaint", {"steps": 25, "jump_length": 5, "jump_n_sample": 2}),
    ("RePaint 50/5/5", "repaint", {"steps": 50, "jump_length": 5, "jump_n_sample": 5}),
]
PAPER = ("RePaint 250/10/10", "repaint", {"steps": 250})


def load_oracle() -> Any:
    """The Gaussian world of the tests."""
    path = Path(__file__).resolve().parents[1] / "tests" / "diffusion" / "oracle.py"
    spec = importlib.util.spec_from_file_location("histoaug_gaussian_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Print error against evaluations and the ratio to the last RePaint row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", action="store_true", help="add the published RePaint setting")
    rows = [*ROWS, PAPER] if parser.parse_args().paper else ROWS
    world = load_oracle().GaussianWorld()
    print(f"{'sampler':32s} {'evaluations':>11s} {'W2/std':>7s} {'variance ratio':>14s}")
    errors = {}
    for name, method, options in rows:
        errors[name] = error = world.measure(method, **options)
        print(f"{name:32s} {error.evaluations:11d} {error.w2:7.3f} {error.variance_ratio:14.2f}")
    ours, peer = errors["pixel-time DPM++(2M) 20"], errors[rows[-1][0]]
    print(
        f"against {rows[-1][0]}: {peer.evaluations / ours.evaluations:.1f} x fewer evaluations, "
        f"{peer.w2 / ours.w2:.1f} x less error"
    )


if __name__ == "__main__":
    main()
