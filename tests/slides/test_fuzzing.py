"""Thousands of damaged slides: pixels, hatching or a sentence; never a crash, hang or a lie."""

from __future__ import annotations

import collections
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

FUZZING = Path(__file__).with_name("fuzzing.py")
#: A mutation takes less than a tenth of a second on an idle machine.
SECONDS = 30


def small_svs(source: Path, path: Path, across: int = 4) -> Path:
    """The middle of an Aperio slide, its own encoded tiles unchanged."""
    with tifffile.TiffFile(source) as tiff, source.open("rb") as file:
        page = tiff.pages.first
        columns, side = -(-page.imagewidth // page.tilewidth), page.tilewidth
        tiles = []
        for index in (row * columns + column for row in range(4, 4 + across)
                      for column in range(3, 3 + across)):  # fmt: skip
            file.seek(page.dataoffsets[index])
            tiles.append(file.read(page.databytecounts[index]))
        tifffile.imwrite(
            path, iter(tiles), shape=(across * side, across * side, 3), dtype="uint8",
            tile=(side, side), photometric="rgb", compression="jpeg", metadata=None,
            description=page.description, software=False,
            extratags=[(347, 7, len(page.jpegtables), page.jpegtables, True)],
        )  # fmt: skip
    return path


def small_deflate(source: Path, path: Path) -> Path:
    """The same tissue in tiles that carry a checksum, with a second level."""
    with tifffile.TiffFile(source) as tiff:
        image = tiff.pages.first.asarray()[960:1600, 720:1360]
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 2):
            writer.write(
                np.ascontiguousarray(image[::step, ::step]), tile=(128, 128), photometric="rgb",
                compression="deflate", metadata=None, subfiletype=int(step > 1),
            )  # fmt: skip
    return path


def with_table(source: Path, path: Path) -> Path:
    """A DICOM whose empty table of frames is filled in, as most scanners do."""
    data, item = source.read_bytes(), b"\xfe\xff\x00\xe0"
    start = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + item + bytes(4)) + 20
    offsets, at = [], start
    while data[at : at + 4] == item:
        offsets.append(at - start)
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    table = struct.pack(f"<I{len(offsets)}I", 4 * len(offsets), *offsets)
    path.write_bytes(data[: start - 4] + table + data[start:])
    return path


@pytest.fixture(scope="module", params=["svs", "deflate", "dicom"])
def target(request, shared_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    aperio = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    if request.param == "svs":
        return small_svs(aperio, folder / "a.svs")
    if request.param == "deflate":
        return small_deflate(aperio, folder / "a.tif")
    (part,) = (shared_data / "wsi" / "camelyon_dicom_lowres").glob("multi_frame_jpeg_*.dcm")
    return with_table(part, folder / "a.dcm")


def fuzz(target: Path, folder: Path, first: int, count: int) -> collections.Counter:
    """Read `count` mutations in a process of their own; a process that dies fails the test."""
    command = [sys.executable, FUZZING, target, folder, first, count, SECONDS]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    last = lines[-1] if lines else "nothing"
    assert done.returncode == 0, f"{target.suffix} ended at {last}:\n{done.stderr[-2000:]}"
    results = [line for line in lines if "outcome" in line]
    assert [line for line in results if line["wrong"]] == []
    assert len(results) == count
    return collections.Counter(line["outcome"] for line in results)


def test_a_sample_of_damaged_slides(target, tmp_path):
    outcomes = fuzz(target, tmp_path, 0, 34)
    # The mutations are worth something: some are noticed, and not all of them refused.
    assert outcomes.keys() & {"noticed", "refused", "unknowable"}
    assert outcomes.keys() & {"same", "structure", "noticed", "unknowable"}
    assert not (target.suffix == ".tif" and outcomes["unknowable"])


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_thousand_damaged_slides(target, tmp_path):
    outcomes: collections.Counter = collections.Counter()
    for first in range(1000, 3000, 100):
        outcomes += fuzz(target, tmp_path, first, 100)
    print(target.suffix, dict(outcomes))  # noqa: T201
    assert outcomes.total() == 2000
