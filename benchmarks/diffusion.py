"""Claim: pixel-time fills a hole better than RePaint, with a hundredth of its evaluations.

Every method of ``napari_histoaug.diffusion`` runs against the exact posterior of a Gaussian world
with a perfect denoiser (tests/diffusion/oracle.py): error is the Wasserstein-2 distance over the
posterior deviation, propagated exactly, so the figures do not depend on the machine. The peer is
diffusers' RePaintScheduler in the loop of its pipeline, in the same run.

    python benchmarks/diffusion.py                      # half a minute: the shorter settings
    python benchmarks/diffusion.py --paper              # and the published ones (minutes, 1 GB)
    python benchmarks/diffusion.py --paper --plot docs/images/diffusion-error.png
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_histoaug.diffusion import PRESETS

TESTS = Path(__file__).resolve().parents[1] / "tests" / "diffusion"
LONG = 500  # evaluations from which on a setting is left to --paper


@dataclass(frozen=True)
class Row:
    """One setting of one sampler and what it came to."""

    family: str
    setting: str
    evaluations: int
    w2: float
    variance_ratio: float


def load(module: str) -> Any:
    """A helper of the tests."""
    spec = importlib.util.spec_from_file_location(f"tests_{module}", TESTS / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


PIXEL_TIME = (6, 8, 10, 15, 20, 30, 50, 100)
LANGEVIN = ((10, 1), (17, 2), (25, 3), (50, 4), (100, 6))
REPAINT = ((20, 5, 3), (50, 5, 5), (100, 10, 10), (250, 10, 5), (250, 10, 10))
REPLACEMENT = (25, 50, 250, 1000)


def settings() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Family, setting, method and options of our own rows."""
    rows: list[tuple[str, str, str, dict[str, Any]]] = []
    for family, solver in (
        ("pixel-time, DPM-Solver++(2M)", "dpmpp-2m"),
        ("pixel-time, DDIM", "ddim"),
        ("pixel-time, ancestral", "ancestral"),
    ):
        rows += [(family, f"{n}", "pixel-time", {"steps": n, "solver": solver}) for n in PIXEL_TIME]
    for steps, corrections in LANGEVIN:
        options: dict[str, Any] = {"steps": steps, "corrections": corrections}
        rows.append(("langevin", f"{steps} x ({corrections} + 1)", "langevin", options))
    for steps, jump, n in REPAINT:
        options = {"steps": steps, "jump_length": jump, "jump_n_sample": n}
        rows.append(("repaint, as published", f"{steps}/{jump}/{n}", "repaint", options))
    for steps in REPLACEMENT:
        options = {"steps": steps, "jump_n_sample": 1}
        rows.append(("replacement only", f"{steps}", "repaint", options))
    return rows


def measure_ours(world: Any, long: bool) -> list[Row]:
    """Every setting of ours, the long ones on request."""
    rows = []
    for family, setting, method, options in settings():
        if long or options["steps"] < 100 or method == "pixel-time" or setting == "250":
            error = world.measure(method, **options)
            rows.append(Row(family, setting, error.evaluations, error.w2, error.variance_ratio))
    return rows


def measure_peer(world: Any, long: bool) -> list[Row]:
    """The same RePaint settings by diffusers, in its default (eta 0) and in the paper's noise."""
    peer, rows = load("peer").DiffusersRePaint, []
    for eta in (0.0, 1.0):
        for setting in REPAINT:
            if not long and setting[0] >= 100:
                continue
            run = peer(*setting, eta)
            error = world.measure_run(
                lambda known, hole, noise, run=run: run(world.plain, known, hole, noise)
            )
            name = "/".join(map(str, setting))
            rows.append(
                Row(
                    f"diffusers RePaint, eta {eta:.0f}",
                    name,
                    error.evaluations,
                    error.w2,
                    error.variance_ratio,
                )
            )
    return rows


def print_table(rows: list[Row]) -> None:
    """As Markdown, so that it can be put on a page."""
    print("| sampler | setting | evaluations | W2 / std | variance ratio |")
    print("|---|---|---:|---:|---:|")
    for r in rows:
        print(
            f"| {r.family} | {r.setting} | {r.evaluations} | {r.w2:.3f} | {r.variance_ratio:.2f} |"
        )


def print_presets(world: Any, long: bool) -> None:
    """The named settings, in three worlds."""
    oracle = load("oracle")
    worlds = [oracle.GaussianWorld(length) for length in (2.0, 4.0, 8.0)]
    print("\n| preset | evaluations | W2 / std at correlation length 2 | 4 | 8 |")
    print("|---|---:|---:|---:|---:|")
    for preset in PRESETS.values():
        if long or preset.evaluations < LONG:
            errors = [w.measure(preset.method, **preset.parameters).w2 for w in worlds]
            figures = " | ".join(f"{e:.3f}" for e in errors)
            print(f"| `{preset.name}` | {preset.evaluations} | {figures} |")


def plot(rows: list[Row], target: Path) -> None:
    """Error against evaluations, one line a family, named at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.6, 5.2), dpi=120)
    styles = {
        "pixel-time, DPM-Solver++(2M)": ("#0072b2", "-", 2.4),
        "pixel-time, DDIM": ("#56b4e9", "-", 1.4),
        "pixel-time, ancestral": ("#56b4e9", ":", 1.4),
        "langevin": ("#009e73", "-", 2.4),
        "repaint, as published": ("#d55e00", "-", 2.4),
        "diffusers RePaint, eta 0": ("#555555", "--", 1.4),
        "diffusers RePaint, eta 1": ("#999999", "--", 1.4),
        "replacement only": ("#cc79a7", ":", 1.4),
    }
    for family, (colour, dashes, width) in styles.items():
        points = sorted((r.evaluations, r.w2) for r in rows if r.family == family)
        x, y = zip(*points, strict=True)
        axes.plot(x, y, dashes, color=colour, lw=width, marker="o", ms=4, label=family)
    axes.set(xscale="log", yscale="log", xlim=(5, 3500), ylim=(0.002, 1.2))
    axes.set_xlabel("network evaluations")
    axes.set_ylabel("distance to the exact answer (W2 / posterior deviation)")
    axes.set_xticks([5, 10, 20, 50, 100, 250, 1000, 2410])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target)
    print(f"\n{target}")


def print_claim(rows: list[Row]) -> None:
    """The ratios that the project promises."""
    by = {(r.family, r.setting): r for r in rows}
    ours = by["pixel-time, DPM-Solver++(2M)", "20"]
    slow = by["langevin", "50 x (4 + 1)"]
    repaint = max((r for r in rows if r.family == "repaint, as published"), key=_cost)
    peers = [r for r in rows if r.family.startswith("diffusers") and r.setting == repaint.setting]
    print(f"\npixel-time at {ours.evaluations}: {ours.w2:.3f} (goal 0.05); ", end="")
    print(f"langevin at {slow.evaluations}: {slow.w2:.3f} (goal 0.09)")
    for peer in (repaint, *peers):
        print(
            f"{peer.family} {peer.setting}: {peer.w2:.3f}; pixel-time at {ours.evaluations} has "
            f"{peer.w2 / ours.w2:.1f} x less error in {peer.evaluations / ours.evaluations:.1f} x "
            "fewer evaluations"
        )


def _cost(row: Row) -> int:
    return row.evaluations


def main() -> None:
    """Print the tables and the ratios; draw them on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", action="store_true", help="add the published settings")
    parser.add_argument("--plot", type=Path, help="write the plot to this file (needs matplotlib)")
    arguments = parser.parse_args()
    world = load("oracle").GaussianWorld()
    rows = [*measure_ours(world, arguments.paper), *measure_peer(world, arguments.paper)]
    print_table(rows)
    print_presets(world, arguments.paper)
    print_claim(rows)
    if arguments.plot is not None:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
