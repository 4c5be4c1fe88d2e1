"""How much memory slides take, measured in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc"
)

MEASURE = """
import json, sys
from pathlib import Path
import napari_histoaug.slides.samples
from napari_histoaug.slides import open_slide, sidecar
from napari_histoaug.slides.pyramid import open_pyramid

def status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024

def peak_above(work):
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    value = work()
    return status("VmHWM") - before, value
"""


def measure(script: str, *arguments: object) -> dict:
    """Run a script that ends with ``answer = {...}`` and return the answer."""
    code = MEASURE + textwrap.dedent(script) + "\nprint(json.dumps(answer))"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def large_tiff(path: Path, *sides: int) -> Path:
    """Levels of side x side pixels in JPEG tiles of 512, all alike, written in no time."""
    random = np.random.default_rng(0)
    tile = random.integers(100, 220, (32, 32, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    encoded = imagecodecs.jpeg8_encode(tile, 85)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for side in sides:
            writer.write(
                iter([encoded] * (-(-side // 512)) ** 2), shape=(side, side, 3), dtype="uint8",
                tile=(512, 512), photometric="ycbcr", compression="jpeg", metadata=None,
                subfiletype=int(side != sides[0]),
            )  # fmt: skip
    return path


def large_striped_tiff(path: Path, side: int) -> Path:
    """One level of side x side pixels in strips of 16 rows, each as wide as the slide."""
    random = np.random.default_rng(0)
    strip = random.integers(100, 220, (16, side, 1), dtype=np.uint8).repeat(3, 2)
    encoded = imagecodecs.zlib_encode(np.ascontiguousarray(strip), 1)
    tifffile.imwrite(
        path, iter([encoded] * (side // 16)), shape=(side, side, 3), dtype="uint8",
        rowsperstrip=16, photometric="rgb", compression="deflate", metadata=None, bigtiff=True,
    )  # fmt: skip
    return path


BUILD = """
slide = open_slide(sys.argv[1])
slide.read_block(0, 0, 0, 10, 10)
peak, path = peak_above(lambda: sidecar.build_sidecar(slide, sys.argv[2]))
answer = {"peak": peak, "levels": sorted(p.name for p in path.iterdir() if p.is_dir())}
"""


def test_building_a_sidecar_takes_little_memory(tmp_path):
    # Level 0 is 300 MB decoded, the first averaged level 75 MB.
    answer = measure(BUILD, large_tiff(tmp_path / "a.tif", 10_240), tmp_path / "kept")
    assert answer["levels"] == ["1", "2", "3", "4"]
    assert answer["peak"] < 160


@pytest.mark.soak
@pytest.mark.parametrize("make", [large_tiff, large_striped_tiff])
def test_building_the_sidecar_of_a_large_slide_stays_below_300_mb(tmp_path, make):
    answer = measure(BUILD, make(tmp_path / "a.tif", 40_000), tmp_path / "kept")
    assert answer["levels"][-1] == "6"
    assert answer["peak"] < 300


def test_many_open_slides_share_their_memory(tmp_path):
    for index in range(21):
        large_tiff(tmp_path / f"{index}.tif", 2560, 640)
    answer = measure(
        """
        pyramids = [open_pyramid(open_slide(f"{sys.argv[1]}/20.tif"))]
        pyramids[0].arrays[0][:]
        before = status("VmRSS")
        for index in range(20):
            pyramid = open_pyramid(open_slide(f"{sys.argv[1]}/{index}.tif"))
            pyramid.arrays[-1][:]  # the overview
            pyramid.store.slide.read_block(0, 0, 0, 512, 512)
            pyramids.append(pyramid)
        opened = status("VmRSS") - before
        for pyramid in pyramids:
            pyramid.arrays[0][:]
        answer = {"opened": opened, "read": status("VmRSS") - before}
        """,
        tmp_path,
    )
    assert answer["opened"] < 100
    # 20 slides of 20 MB: the shared 256 MB of tiles and the readers' own caches.
    assert answer["read"] < 380
