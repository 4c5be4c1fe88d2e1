"""Claim: `histoaug info` says what is in a slide of 100,000 x 100,000 pixels within a second.

Every way of asking runs in fresh processes, in turn. Printed for each, as medians: wall-clock and
processor seconds from starting Python to its end, and the peak of resident memory:

- ``histoaug info``, which also compares our decoder with OpenSlide's and looks for edits;
- OpenSlide's levels and properties, and tifffile's levels, by a line of Python each;
- Python alone: the floor.

    python benchmarks/slides_info.py [--rounds 7]

Runs are with compiled bytecode, as after ``pip install``; the first one of each, which compiles,
is left out. The slide (150 MB) is made in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

SIDES = (100_000, 25_000, 6_250, 1_563)
OPENSLIDE = (
    "import openslide, sys; s = openslide.OpenSlide(sys.argv[1]); "
    "print(s.level_dimensions, dict(s.properties))"
)
TIFFFILE = (
    "import tifffile, sys; "
    "print([level.shape for level in tifffile.TiffFile(sys.argv[1]).series[0].levels])"
)
WAYS = {
    "histoaug info": ["-m", "napari_histoaug.cli", "info"],
    "OpenSlide: levels and properties": ["-c", OPENSLIDE],
    "tifffile: levels": ["-c", TIFFFILE],
    "Python alone": ["-c", "pass"],
}
#: Runs the rest of its arguments and says how it went. A process of its own, and a small one: a
#: peak counts from before the new program is loaded.
WATCH = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def make_slide(path: Path) -> None:
    """Write a pyramid of JPEG tiles that are all alike."""
    tile = imagecodecs.jpeg8_encode(np.full((512, 512, 3), 200, np.uint8))
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for side in SIDES:
            writer.write(
                iter([tile] * (-(-side // 512)) ** 2), shape=(side, side, 3), dtype="uint8",
                tile=(512, 512), photometric="ycbcr", compression="jpeg", metadata=None,
                subfiletype=int(side != SIDES[0]),
            )  # fmt: skip


def run(arguments: list[str], slide: Path, bytecode: Path) -> tuple[float, float, float]:
    """Return wall-clock seconds, processor seconds and the peak in MB of one process."""
    environment = dict(os.environ) | {"PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", WATCH, sys.executable, *arguments, str(slide)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    wall, work, peak = map(float, done.stdout.split())
    return wall, work, peak


def main() -> None:
    """Print a line a way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "large.tif"
        make_slide(slide)
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
        for index in range(rounds + 1):
            for way, arguments in WAYS.items():
                numbers = run(arguments, slide, Path(folder) / "bytecode")
                if index:
                    found[way].append(numbers)
    print(f"{'':34s} {'wall s':>14s} {'CPU s':>6s} {'peak MB':>8s}")
    ours = statistics.median(numbers[0] for numbers in found["histoaug info"])
    for way, numbers in found.items():
        wall, work, peak = (statistics.median(column) for column in zip(*numbers, strict=True))
        print(f"{way:34s} {wall:6.2f} {f'({ours / wall:.2f}x)':>7s} {work:6.2f} {peak:8.0f}")


if __name__ == "__main__":
    main()
