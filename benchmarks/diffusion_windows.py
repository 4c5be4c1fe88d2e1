"""Claim: regions larger than the network keep their variance where its windows meet.

A Gaussian strip of 4 x 64 pixels is sampled by an ideal network that sees 16 columns, its windows
half overlapping: as one state under `napari_histoaug.diffusion.Windowed`, and, the peer, window by
window with blended results. The output's covariance is propagated exactly; the figures do not
depend on the machine.

    python benchmarks/diffusion_windows.py [--plot docs/images/diffusion-windows.png]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_histoaug.diffusion import Windowed, linear_schedule, noise_from_x0, sample_inpainting
from napari_histoaug.diffusion.windows import taper, window_starts

ROWS, COLUMNS, SIZE, OVERLAP, STEPS = 4, 64, 16, 8, 20


def load_oracle() -> Any:
    """The Gaussian world of the tests."""
    path = Path(__file__).resolve().parents[1] / "tests" / "diffusion" / "oracle.py"
    spec = importlib.util.spec_from_file_location("tests_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Strip:
    """Strips of one correlation length and the ideal network for any piece of one."""

    def __init__(self, oracle: Any, length: float):
        self.oracle, self.length, self.schedule = oracle, length, linear_schedule()
        self.gains: dict[tuple[int, int], Tensor] = {}

    def ideal(self, x: Tensor, t: Tensor, hole: Tensor, windows: Sequence[Any] = ()) -> Tensor:
        """E[noise | the piece that is seen]."""
        a, key = self.schedule.alpha_bar_at(int(t[0])), (int(t[0]), x.shape[3])
        if key not in self.gains:
            cov = self.oracle.covariance(ROWS, x.shape[3], self.length)
            self.gains[key] = self.oracle.shrinkage(cov, a)
        flat = x.reshape(len(x), -1)
        return noise_from_x0(flat, flat @ self.gains[key], a).reshape(x.shape)

    def response(self, network: Any, columns: int) -> Tensor:
        """The sampler as a matrix: how each output pixel follows the initial noise."""
        pixels = ROWS * columns
        start = torch.zeros(pixels, 1, ROWS, columns, dtype=torch.float64, requires_grad=True)
        known = torch.zeros_like(start, requires_grad=True)
        hole = torch.ones_like(start, dtype=torch.bool)
        out = sample_inpainting(network, known, hole, steps=STEPS, noise=lambda shape: start)
        out.reshape(pixels, -1).diagonal().sum().backward()
        return start.grad.reshape(pixels, -1)

    def variance(self, cov: Tensor) -> Tensor:
        """Of each column over the data's."""
        return (cov.diagonal() / 0.32).reshape(ROWS, -1).mean(0)

    def one_state(self, network: Any) -> Tensor:
        """Variance by column, all windows looking at one state."""
        response = self.response(network, COLUMNS)
        return self.variance(response @ response.T)

    def blended(self) -> Tensor:
        """Variance by column, windows sampled apart with noise of their own, then blended."""
        response = self.response(self.ideal, SIZE)
        apart = self.variance(response @ response.T)
        total = torch.zeros(COLUMNS, dtype=torch.float64)
        for start in window_starts(COLUMNS, SIZE, OVERLAP):
            total[start : start + SIZE] += taper(start, SIZE, COLUMNS, OVERLAP, 0) ** 2 * apart
        return total


def plot(curves: dict[str, Tensor], target: Path) -> None:
    """Variance along the strip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.6, 3.2), dpi=120)
    styles = [("#999999", "-", 4.0), ("#0072b2", "-", 2.0), ("#d55e00", "--", 1.6)]
    for (name, curve), (colour, dashes, width) in zip(curves.items(), styles, strict=True):
        axes.plot(curve, dashes, color=colour, lw=width, label=name)
    axes.set(ylim=(0, 1.2), xlim=(0, COLUMNS - 1), xlabel="column of the strip")
    axes.set_ylabel("variance / the data's")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower center", ncols=3)
    figure.tight_layout()
    figure.savefig(target)
    print(f"\n{target}")


def main() -> None:
    """Print the least variance along the strip, relative to the data's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="write the plot to this file (needs matplotlib)")
    target = parser.parse_args().plot
    oracle = load_oracle()
    print("| correlation length | one huge window | windows of one state | blended windows |")
    print("|---:|---:|---:|---:|")
    for length in (2.0, 4.0, 8.0):
        strip = Strip(oracle, length)
        windows = Windowed(strip.ideal, (ROWS, SIZE), overlap=OVERLAP, batch=10**6)
        curves = {
            "one huge window": strip.one_state(strip.ideal),
            "windows of one state": strip.one_state(windows),
            "blended windows": strip.blended(),
        }
        print(f"| {length:.0f} | " + " | ".join(f"{c.min():.3f}" for c in curves.values()) + " |")
        if length == 4.0:
            shown, ratio = curves, [float(1 - c.min()) for c in curves.values()]
    lost = max(ratio[1], 0.0)
    print(f"\nat length 4 the dip is {lost:.1%} against {ratio[2]:.1%} of the peer")
    if target is not None:
        plot(shown, target)


if __name__ == "__main__":
    main()
