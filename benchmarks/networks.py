"""Claim: SPADE's modulation of a fixed label map, kept over the steps, makes the network faster.

Seconds of one forward pass of the presets ``thesis-90m`` (256 px) and ``latent`` (64 x 64), with
the modulations kept and made anew, and of diffusers' UNet2DModel with as many parameters in the
same run; how an inpaint with the bundled network spends its time; peak memory, each in a process of
its own. Medians of processor seconds on one thread, which other programs hardly disturb.

    python benchmarks/networks.py              # about five minutes on one processor core
    python benchmarks/networks.py --only click # the bundled network's inpaint alone
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_histoaug.generation import Generator, inpaint, load_generator
from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.donor_fit import choose
from napari_histoaug.generation.donors import BUNDLED, STRENGTH, Donor, read_donors
from napari_histoaug.models import PRESETS, SpadeUNet, channels_last

REPEATS = 5
SIZES = {"thesis-90m": (3, 256), "latent": (4, 64)}
# The thesis's widths, two blocks a level as is diffusers' default, narrowed at the bottom to 90 M.
PEER_WIDTHS, PEER_BLOCKS = (64, 128, 256, 496, 496), 2


def median_seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median processor time of `call`, after one that warms up."""
    call()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def millions(model: nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def ours(name: str) -> tuple[SpadeUNet, tuple[Tensor, ...]]:
    """A preset and its inputs: a hole in the middle, a disc of the first class."""
    channels, size = SIZES[name]
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    disc = ((y - size / 2) ** 2 + (x - size / 2) ** 2 < (size / 4) ** 2).float()
    labels = torch.stack([1 - disc, disc, 0 * disc])[None]
    state = torch.randn(1, channels, size, size).contiguous(memory_format=torch.channels_last)
    return channels_last(SpadeUNet(PRESETS[name]).eval()), (
        state,
        torch.tensor([500]),
        disc[None, None] > 0,
        labels,
    )


def peer(name: str) -> nn.Module:
    """Diffusers' U-Net with as many parameters."""
    from diffusers import UNet2DModel

    channels, size = SIZES[name]
    torch.manual_seed(0)
    return channels_last(
        UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=PEER_WIDTHS,
            layers_per_block=PEER_BLOCKS,
            down_block_types=("DownBlock2D",) * 5,
            up_block_types=("UpBlock2D",) * 5,
            norm_num_groups=16,
        ).eval()
    )


def forwards(name: str) -> None:
    """Print the seconds of one forward pass, kept, anew and the peer's."""
    device = torch.device("cpu")
    model, inputs = ours(name)
    size = (inputs[0].shape[2], inputs[0].shape[3])
    with torch.inference_mode(), autocast(device):
        maps = model.modulations(inputs[3], size)
        kept_bytes = sum(part.nbytes for pair in maps for part in pair)
        kept = median_seconds(lambda: model(*inputs, maps=maps))
        anew = median_seconds(lambda: model(*inputs), 3)
        first, second = model(*inputs, maps=maps), model(*inputs)
        assert torch.equal(first, second), "kept modulations must change nothing"
    other = peer(name)
    with torch.inference_mode(), autocast(device):
        theirs = median_seconds(lambda: other(inputs[0], inputs[1]))
    print(f"{name} {size[0]} x {size[1]}, {millions(model):.1f} M parameters")
    print(f"  kept {kept:.3f} s ({kept_bytes / 2**20:.0f} MiB), anew {anew:.3f} s: ", end="")
    print(f"{anew / kept:.2f} x faster with the modulations kept")
    print(f"  UNet2DModel, {millions(other):.1f} M: {theirs:.3f} s; ", end="")
    print(f"ours takes {kept / theirs:.2f} x its time")


def tissue(side: int) -> np.ndarray:
    """Pink noise of tissue's grain, uint8 (side, side, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(140, 230, (side // 8, side // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def chosen(image: np.ndarray, hole: np.ndarray, seed: int) -> Donor:
    """The packaged vessel that the window would take."""
    return choose(read_donors(BUNDLED), seed, hole, 0.5, image)


class Stopwatch:
    """Sums the time spent in some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        def timed(*args: object, **kwargs: object) -> object:
            started = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - started

        return timed


def click(
    generator: Generator,
    diameter: int,
    method: str,
    steps: int | None = None,
    *,
    real: bool = False,
) -> None:
    """Print how long a round hole takes, and the shares spent outside the networks.

    `real`: from the packaged vessel that suits the hole, as the window does it; else from noise.
    """
    side = diameter + 256
    y, x = np.mgrid[:side, :side] - side / 2
    hole = y**2 + x**2 < (diameter / 2) ** 2
    image = tissue(side)
    unet, coder = Stopwatch(), Stopwatch()
    generator.unet.forward = unet.around(type(generator.unet).forward.__get__(generator.unet))  # type: ignore[method-assign]
    space = generator.autoencoder
    if space is not None:
        for name in ("encode", "decode"):
            bound = getattr(type(space), name).__get__(space)
            setattr(space, name, coder.around(bound))
    taken, outside, other = [], [], []
    for repeat in range(4):
        unet.seconds = coder.seconds = 0.0
        started = time.process_time()
        donor = chosen(image, hole, repeat) if real else None
        result = inpaint(
            generator, image, hole, method=method, steps=steps, seed=repeat,
            donor=donor, strength=STRENGTH,
        )  # fmt: skip
        seconds = time.process_time() - started
        if repeat:
            taken.append(seconds)
            outside.append(1 - unet.seconds / seconds)
            other.append(1 - (unet.seconds + coder.seconds) / seconds)
    start = " from a real vessel" if real else ""
    print(
        f"{method}{start}, hole of {diameter} px, {result.evaluations} evaluations: "
        f"{statistics.median(taken):.2f} s, {statistics.median(outside):.1%} outside the U-Net, "
        f"{statistics.median(other):.1%} outside both networks"
    )


def peak(what: str) -> None:
    """Print this process's peak memory after one piece of work."""
    if what == "inpaint":
        generator = load_generator(device="cpu")
        hole = np.zeros((512, 512), bool)
        hole[128:384, 128:384] = True
        inpaint(generator, tissue(512), hole, method="draft", steps=2)
    else:
        model, inputs = ours(what)
        with torch.inference_mode(), autocast(torch.device("cpu")):
            model(*inputs, maps=model.modulations(inputs[3], tuple(inputs[0].shape[2:])))  # type: ignore[arg-type]
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of {what}: {kib / 1024:.0f} MiB")


def main() -> None:
    """Run what was asked for; without options, everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["forward", "click", "peak"])
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak_of:
        peak(given.peak_of)
        return
    if given.only in (None, "forward"):
        for name in SIZES:
            forwards(name)
    if given.only in (None, "click"):
        generator = load_generator(device="cpu")
        for diameter in (256, 512):
            click(generator, diameter, "turbo", real=True)
            click(generator, diameter, "turbo")
        click(generator, 256, "pixel-time")
    if given.only in (None, "peak"):
        for name in ("latent", "thesis-90m", "inpaint"):
            command = [sys.executable, str(Path(__file__)), "--peak-of", name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
