"""Claim: slides are read several times faster than by the ways pathology tools read them.

One run prints, as medians of several rounds in turn, with the ratio of ours to each peer:

- patches of 256 px at stride 128 from level 0: per-patch OpenSlide (as CLAM does), OpenSlide in
  blocks, tifffile's zarr store in blocks, napari-wsi's arrays, fastslide, and ours in blocks;
- blocks against the limit: decoding the same tiles, already in memory, with libjpeg-turbo;
- ours with two threads against one;
- resident memory of each, in a process of its own.

    python benchmarks/slides.py [SLIDE] [--rows 4096] [--rounds 3]
    python benchmarks/slides.py --large [--tissue FOLDER]

Wall-clock ratios suffer when other programs run, so those of decoding come in processor time too.
``--large`` makes a pyramid of 30,000 x 40,000 px out of real tissue (JPEG images of 1024 px in
FOLDER, else pieces of the sample slide) in the user's cache folder, once, and compares on that.

SLIDE is a tiled JPEG TIFF or SVS; the sample slide (CMU-1-Small-Region) when omitted. Peers that
are not installed are left out by name (``pip install napari-wsi fastslide``).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from platformdirs import user_cache_dir

from napari_histoaug.slides import Slide, open_slide
from napari_histoaug.slides.samples import fetch_sample

PATCH, STRIDE, BLOCK = 256, 128, 2048
LARGE, FIELD, TILE = (30_000, 40_000), 1024, 256
YCBCR = 6
Read = Callable[[int, int, int, int], np.ndarray]
"""(y, x, height, width) of level 0 -> RGB."""


def blocks(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Blocks that together hold every patch: they overlap by what a patch needs."""
    step = BLOCK - (PATCH - STRIDE)
    for y in range(0, max(1, height - (PATCH - STRIDE)), step):
        for x in range(0, max(1, width - (PATCH - STRIDE)), step):
            yield y, x, min(BLOCK, height - y), min(BLOCK, width - x)


def patches_of(block: np.ndarray) -> int:
    """Cut a block into its patches and touch each; returns how many."""
    count = 0
    for y in range(0, block.shape[0] - PATCH + 1, STRIDE):
        for x in range(0, block.shape[1] - PATCH + 1, STRIDE):
            patch = block[y : y + PATCH, x : x + PATCH]
            count += int(patch[::64, ::64].sum() >= 0)
    return count


def in_blocks(read: Read, height: int, width: int) -> int:
    """Count the patches of a region, read in blocks."""
    return sum(patches_of(read(*block)) for block in blocks(height, width))


def one_by_one(read: Read, height: int, width: int) -> int:
    """Count the patches of a region, each read on its own."""
    count = 0
    for y in range(0, height - PATCH + 1, STRIDE):
        for x in range(0, width - PATCH + 1, STRIDE):
            count += patches_of(read(y, x, PATCH, PATCH))
    return count


def fields(folder: Path | None) -> list[np.ndarray]:
    """Real tissue, uint8 (1024, 1024, 3) each."""
    if folder is not None:
        from PIL import Image

        pictures = [np.asarray(Image.open(path).convert("RGB")) for path in folder.glob("*.jpg")]
        return [picture for picture in pictures if picture.shape == (FIELD, FIELD, 3)]
    with open_slide(fetch_sample()) as slide:
        height, width = slide.levels[0].shape
        return [
            slide.read_block(0, y, x, FIELD, FIELD)
            for y in range(0, height - FIELD, FIELD // 2)
            for x in range(0, width - FIELD, FIELD // 2)
        ]


def halved(image: np.ndarray) -> np.ndarray:
    """Mean of every 2 x 2 pixels."""
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].astype(np.uint16)
    pairs = even[::2] + even[1::2]
    return ((pairs[:, ::2] + pairs[:, 1::2] + 2) // 4).astype(np.uint8)


def encoded(image: np.ndarray) -> dict[tuple[int, int], bytes]:
    """The JPEG tiles of an image by (row, column); those at its edge are filled up."""
    import imagecodecs

    missing = [(0, -side % TILE) for side in image.shape[:2]]
    whole = np.pad(image, [*missing, (0, 0)], "edge")
    return {
        (y // TILE, x // TILE): bytes(
            imagecodecs.jpeg8_encode(
                np.ascontiguousarray(whole[y : y + TILE, x : x + TILE]), 85, subsampling="420"
            )
        )
        for y in range(0, whole.shape[0], TILE)
        for x in range(0, whole.shape[1], TILE)
    }


def tiles_in_order(
    grid: np.ndarray, parts: list[dict[tuple[int, int], bytes]], shape: tuple[int, int]
) -> Iterator[bytes]:
    """The tiles of a level that is laid out of parts, row by row."""
    down, across = (1 + max(place[axis] for place in parts[0]) for axis in (0, 1))
    for row in range(-(-shape[0] // TILE)):
        for column in range(-(-shape[1] // TILE)):
            yield parts[grid[row // down, column // across]][row % down, column % across]


def large_pyramid(folder: Path | None) -> Path:
    """Return the generated pyramid, made now when it is not there yet."""
    tissue = fields(folder)
    path = Path(user_cache_dir("napari-histoaug")) / "benchmarks" / f"large-{len(tissue)}.tif"
    if path.exists():
        return path
    print(f"making {path.name} out of {len(tissue)} pieces of tissue", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.random.default_rng(0).integers(0, len(tissue), [-(-side // FIELD) for side in LARGE])
    part = path.with_suffix(f".{os.getpid()}.part")
    with tifffile.TiffWriter(part, bigtiff=True) as writer:
        shape, level = LARGE, 0
        while max(shape) > FIELD:
            if len(tissue) > 1 and tissue[0].shape[0] < TILE:
                # Several pieces share a tile from here on, and the whole level fits in memory.
                tissue = [np.vstack([np.hstack([tissue[i] for i in row]) for row in grid])]
                grid = np.zeros((1, 1), int)
            if len(tissue) == 1:
                tissue = [tissue[0][: shape[0], : shape[1]]]
            data = tiles_in_order(grid, [encoded(piece) for piece in tissue], shape)
            tissue = [halved(piece) for piece in tissue]
            writer.write(
                data, shape=(*shape, 3), dtype="uint8", tile=(TILE, TILE), photometric="ycbcr",
                compression="jpeg", subsampling=(2, 2), metadata=None, subfiletype=int(level > 0),
                resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
            )  # fmt: skip
            shape, level = (shape[0] // 2, shape[1] // 2), level + 1
    return part.rename(path)


def ours(path: Path) -> Read:
    slide = open_slide(path)
    return lambda y, x, h, w: slide.read_block(0, y, x, h, w)


def with_openslide(path: Path) -> Read:
    import openslide

    slide = openslide.OpenSlide(str(path))

    def read(y: int, x: int, h: int, w: int) -> np.ndarray:
        return np.asarray(slide.read_region((x, y), 0, (w, h)).convert("RGB"))

    return read


def with_tifffile(path: Path) -> Read:
    import zarr

    group = zarr.open(tifffile.imread(path, aszarr=True), mode="r")
    array: Any = group["0"] if isinstance(group, zarr.Group) else group
    return lambda y, x, h, w: array[y : y + h, x : x + w]


def with_napari_wsi(path: Path) -> Read:
    from napari_wsi.backends.common import WSIReaderBackend
    from napari_wsi.color_transform import ColorSpace
    from napari_wsi.common import open_store

    store = open_store(
        path=str(path), backend=WSIReaderBackend.OPENSLIDE, color_space=ColorSpace.RAW
    )
    array = store.to_layer_data_tuples()[0][0][0]
    return lambda y, x, h, w: np.asarray(array[y : y + h, x : x + w])[..., :3]


def with_fastslide(path: Path) -> Read:
    import fastslide

    slide = fastslide.FastSlide.from_file_path(str(path))
    return lambda y, x, h, w: slide.read_region((x, y), 0, (w, h)).numpy()[..., :3]


WAYS: dict[str, tuple[Callable[[Path], Read], Callable[[Read, int, int], int], str]] = {
    "napari-histoaug, blocks": (ours, in_blocks, "napari_histoaug"),
    "OpenSlide, patch by patch": (with_openslide, one_by_one, "openslide"),
    "OpenSlide, blocks": (with_openslide, in_blocks, "openslide"),
    "tifffile zarr store, blocks": (with_tifffile, in_blocks, "tifffile"),
    "napari-wsi arrays, blocks": (with_napari_wsi, in_blocks, "napari_wsi"),
    "fastslide, blocks": (with_fastslide, in_blocks, "fastslide"),
}


def timed(work: Callable[[], int]) -> float:
    """Units of work a second."""
    start = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - start)


def compare_patches(path: Path, height: int, width: int, rounds: int) -> None:
    """Print patches a second of every way and our ratio to it."""
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (opened, walk, module) in WAYS.items():
            if importlib.util.find_spec(module) is None:
                continue
            read = opened(path)
            read(0, 0, PATCH, PATCH)
            rates.setdefault(name, []).append(timed(lambda w=walk, r=read: w(r, height, width)))
    best = statistics.median(rates["napari-histoaug, blocks"])
    print(f"{'patches a second':32s} {'median':>8s} {'ours is':>8s}")
    for name in WAYS:
        if name in rates:
            rate = statistics.median(rates[name])
            print(f"{name:32s} {rate:8.0f} {best / rate:7.1f}x")
        else:
            print(f"{name:32s} not installed")


def raw_tiles(path: Path, height: int, width: int) -> tuple[list[bytes], bytes | None, int, bool]:
    """The encoded level-0 tiles of a region, their tables, pixels a tile, and whether YCbCr."""
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file:
        page = tiff.pages.first
        across = -(-page.imagewidth // page.tilewidth)
        found = []
        for row in range(height // page.tilelength):
            for column in range(width // page.tilewidth):
                file.seek(page.dataoffsets[row * across + column])
                found.append(file.read(page.databytecounts[row * across + column]))
        ycbcr = int(page.photometric) == YCBCR
        return found, page.jpegtables, page.tilelength * page.tilewidth, ycbcr


def compare_to_the_limit(path: Path, height: int, width: int, rounds: int) -> None:
    """Print megapixels a second of blocks and of bare decoding, and of two threads."""
    import imagecodecs

    tiles, tables, pixels, ycbcr = raw_tiles(path, height, width)
    stored = imagecodecs.JPEG8.CS.YCbCr if ycbcr else imagecodecs.JPEG8.CS.RGB
    slide = open_slide(path)
    areas = list(blocks(height, width))
    area = sum(h * w for _, _, h, w in areas)
    bared = len(tiles) * pixels

    def bare() -> int:
        for tile in tiles:
            imagecodecs.jpeg8_decode(
                tile, tables=tables, colorspace=stored, outcolorspace=imagecodecs.JPEG8.CS.RGB
            )
        return bared

    def threads(count: int) -> int:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda b: slide.read_block(0, *b).shape, areas))
        return area

    works = {"bare": bare, "one": lambda: threads(1), "two": lambda: threads(2)}
    rates: dict[str, list[float]] = {name: [] for name in works}
    costs: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            rates[name].append(timed(work) / 1e6)
            costs[name].append((time.process_time() - start) / (area if work != bare else bared))
    bare_rate, one, two = (statistics.median(rates[name]) for name in works)
    bare_cost, one_cost, two_cost = (statistics.median(costs[name]) for name in works)
    print(
        f"libjpeg-turbo alone {bare_rate:.0f} MP/s; "
        f"read_block {one:.0f} MP/s = {one / bare_rate:.2f} of that "
        f"({bare_cost / one_cost:.2f} by processor time)"
    )
    print(
        f"read_block from two threads {two:.0f} MP/s = {two / one:.2f}x one "
        f"(a pixel costs {two_cost / one_cost:.2f}x the processor time)"
    )


def print_memory(path: Path, height: int, width: int) -> None:
    """Print the resident memory that reading the region adds, way by way."""
    print("resident memory added, MB")
    for name, (_, _, module) in WAYS.items():
        if importlib.util.find_spec(module) is not None:
            command = [sys.executable, __file__, str(path), "--memory", name]
            command += ["--rows", str(height), "--columns", str(width)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{name:32s} {done.stdout.strip():>8s}")


def added_memory(path: Path, name: str, height: int, width: int) -> float:
    """Resident MB after reading, over that after opening."""
    import psutil

    opened, walk, _ = WAYS[name]
    process = psutil.Process()
    read = opened(path)
    before = process.memory_info().rss
    walk(read, height, width)
    return float(process.memory_info().rss - before) / 1e6


def region(slide: Slide, rows: int, columns: int) -> tuple[int, int]:
    """Height and width to read."""
    height, width = slide.levels[0].shape
    return min(rows, height), min(columns, width)


def main() -> None:
    """Compare on one slide."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=4096, help="level-0 rows to read")
    parser.add_argument("--columns", type=int, default=8192, help="level-0 columns to read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="on a generated large pyramid")
    parser.add_argument("--tissue", type=Path, help="JPEG images of 1024 px for --large")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    path = given.slide or (large_pyramid(given.tissue) if given.large else fetch_sample())
    with open_slide(path) as slide:
        height, width = region(slide, given.rows, given.columns)
        vendor = slide.vendor
    if given.memory:
        print(f"{added_memory(path, given.memory, height, width):.0f}")
        return
    print(f"{path.name} ({vendor}), {height} x {width} px of level 0, {given.rounds} rounds")
    compare_patches(path, height, width, given.rounds)
    compare_to_the_limit(path, height, width, given.rounds)
    print_memory(path, height, width)


if __name__ == "__main__":
    main()
