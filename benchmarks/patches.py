"""Claim: patches are planned and read several times faster than by histolab, however many slides.

Prints, as medians of several rounds in turn:

- plan and read: patches of 256 px, at least half of them tissue, from level 0, as pixels in memory;
  ours, histolab's grid tiler and hs2p, each in a process of its own. Processor seconds, so that
  other programs change little;
- writing the patches as sharded zarr, WebDataset tar and PNG pairs;
- with ``--many``: a run over 10, 100 and 1,000 generated slides on two workers: wall time a slide
  and peak memory of all its processes.

    python benchmarks/patches.py [SLIDE] [--histolab PYTHON] [--hs2p PYTHON] [--rounds 3] [--many]

PYTHON is the interpreter of an environment with that peer and openslide-bin (histolab 0.7 wants
numpy < 2 and scikit-image < 0.23). TIAToolbox is not compared: its patch extraction imports torch
and torchvision, which it installs anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

SIZE = 256
WAYS = ("zarr", "tar", "png")
PEERS = ("histolab", "hs2p")
COUNTS = (10, 100, 1000)


def histolab(path: Path, stride: int) -> tuple[int, float]:
    """Patches and seconds of histolab's grid tiler."""
    from histolab.masks import TissueMask
    from histolab.slide import Slide
    from histolab.tiler import GridTiler

    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        slide = Slide(str(path), processed_path=folder)
        tiler = GridTiler(
            (SIZE, SIZE), level=0, check_tissue=True, tissue_percent=50,
            pixel_overlap=SIZE - stride,
        )  # fmt: skip
        # What extract() saves, tile by tile.
        count = sum(1 for _ in tiler._tiles_generator(slide, TissueMask()))
    return count, time.process_time() - start


def hs2p(path: Path, stride: int) -> tuple[int, float]:
    """Patches and seconds of hs2p on OpenSlide, in this process."""
    from dataclasses import replace

    from hs2p import (
        DEFAULT_MASK_SAMPLING,
        SegmentationConfig,
        SlideSpec,
        TilingConfig,
        tile_slide,
    )
    from hs2p.wsi import iter_tile_records_from_result

    start = time.process_time()
    # Any pixel size does: the tiles are of that size, and so of level 0.
    plan = tile_slide(
        SlideSpec(sample_id="slide", image_path=path, spacing_at_level_0=0.5),
        tiling=TilingConfig(
            backend="openslide", mask_backend="openslide", requested_spacing_um=0.5,
            requested_tile_size_px=SIZE, tolerance=0.05, overlap=max(0.0, 1 - stride / SIZE),
        ),
        segmentation=SegmentationConfig(method="hsv"),
        masks=replace(DEFAULT_MASK_SAMPLING, min_coverage={"tissue": 0.5}),
    )  # fmt: skip
    count = sum(1 for _ in iter_tile_records_from_result(result=plan, num_workers=1))
    return count, time.process_time() - start


def ours(path: Path, stride: int) -> tuple[int, float]:
    """Patches and seconds of planning and reading, in this process."""
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.patches import PatchSettings
    from napari_histoaug.patches.labels import Labels
    from napari_histoaug.patches.plan import plan_patches
    from napari_histoaug.patches.reading import PatchReader
    from napari_histoaug.slides import open_slide

    start = time.process_time()
    with open_slide(path) as slide:
        labels = Labels(None, ClassTable.preset("breast"))
        settings = PatchSettings(size=SIZE, stride=stride, target_percent=0)
        plan = plan_patches(slide, labels, settings)
        reader = PatchReader(slide, plan.grid, labels, SIZE)
        count = sum(1 for _ in reader.patches(plan.rows, plan.columns))
    return count, time.process_time() - start


def in_process_of_its_own(python: str, name: str, path: Path, stride: int) -> tuple[int, float]:
    """Run one of the functions above with some interpreter; imports are not timed."""
    code = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r}); import patches; "
        f"from pathlib import Path; f = patches.{name}; p = Path({str(path)!r}); "
        f"f(p, {SIZE * 64}); print(json.dumps(f(p, {stride})))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    count, seconds = json.loads(done.stdout.splitlines()[-1])
    return count, seconds


def compare(path: Path, peers: dict[str, str], stride: int, rounds: int) -> None:
    """Print patches a second of all and our ratio."""
    ways = {"napari-histoaug": (sys.executable, "ours")}
    ways |= {name: (python, name) for name, python in peers.items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    counts: dict[str, int] = {}
    for _ in range(rounds):
        for name, (python, function) in ways.items():
            count, seconds = in_process_of_its_own(python, function, path, stride)
            rates[name].append(count / seconds)
            counts[name] = count
    best = statistics.median(rates["napari-histoaug"])
    for name in ways:
        rate = statistics.median(rates[name])
        print(
            f"stride {stride}: {name:16s} {counts[name]:5d} patches, {rate:7.0f} a second, "
            f"ours is {best / rate:.1f}x",
            flush=True,
        )


def write_forms(path: Path, rounds: int, count: int = 512) -> None:
    """Print patches a second and bytes a patch of each form."""
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.patches import PatchSettings
    from napari_histoaug.patches.forms import write_part
    from napari_histoaug.patches.labels import Labels
    from napari_histoaug.patches.plan import plan_patches
    from napari_histoaug.patches.reading import Patch, PatchReader
    from napari_histoaug.slides import open_slide

    with open_slide(path) as slide:
        labels = Labels(None, ClassTable.preset("breast"))
        plan = plan_patches(slide, labels, PatchSettings(target_percent=0))
        reader = PatchReader(slide, plan.grid, labels, SIZE)
        found = reader.patches(plan.rows[:count], plan.columns[:count])
        patches = [Patch(p.number, p.image.copy(), p.mask.copy()) for p in found]
    facts: list[dict[str, object]] = [{"row": p.number} for p in patches]
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / f"part{'' if way == 'png' else '.' + way}"
                start = time.perf_counter()
                write_part(target, way, iter(patches), facts, SIZE)
                rates[way].append(len(patches) / (time.perf_counter() - start))
                files = [target] if target.is_file() else list(target.rglob("*"))
                sizes[way] = sum(f.stat().st_size for f in files) / len(patches) / 1e3
    for way in WAYS:
        rate = statistics.median(rates[way])
        print(f"writing {way:5s} {rate:6.0f} patches a second, {sizes[way]:.0f} kB each")


def make_slides(folder: Path, count: int) -> None:
    """Write small slides, all different, with a vessel drawn on each."""
    import numpy as np
    import shapely
    import tifffile

    from napari_histoaug.annotations import Document, Feature, write_geojson

    base = np.random.default_rng(0).integers(100, 200, (1024, 1024, 3), dtype=np.uint8)
    for number in range(count):
        path = folder / f"slide-{number:04d}.tif"
        base[:2, :2] = np.frombuffer(number.to_bytes(12, "little"), np.uint8).reshape(2, 2, 3)
        with tifffile.TiffWriter(path) as writer:
            for level in range(3):
                writer.write(
                    base[:: 2**level, :: 2**level], tile=(256, 256), photometric="ycbcr",
                    compression="jpeg", subfiletype=int(level > 0), metadata=None,
                    resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
                )  # fmt: skip
        vessel = Feature.new(shapely.Point(500, 500).buffer(200), "blood_vessel")
        write_geojson(Document.from_features([vessel]), path.with_suffix(".geojson"))


class Watch:
    """Peak resident MB of this process and all below it, and their processor seconds, inside."""

    def __enter__(self) -> Watch:
        self.peak = 0.0
        self._first, self._last = 0.0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """Processor seconds so far."""
        return self._last - self._first

    def _watch(self) -> None:
        import psutil

        me = psutil.Process()
        while not self._stop.wait(0.2):
            memory, seconds = 0, 0.0
            for process in (me, *me.children(recursive=True)):
                try:
                    memory += process.memory_info().rss
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                seconds += times.user + times.system
            self.peak = max(self.peak, memory / 1e6)
            self._first, self._last = self._first or seconds, seconds


def many_slides(counts: Sequence[int]) -> None:
    """Print time a slide and peak memory for growing numbers of slides."""
    from napari_histoaug.patches.cluster import Cluster
    from napari_histoaug.patches.run import ExtractConfig, run_extraction

    with tempfile.TemporaryDirectory() as place:
        for count in counts:
            folder = Path(place) / f"slides-{count}"
            folder.mkdir()
            make_slides(folder, count)
            config = ExtractConfig.model_validate(
                {"slides": folder, "out": Path(place) / f"out-{count}", "splits": None}
            )
            with Cluster(workers=2) as cluster, Watch() as watch:
                start = time.perf_counter()
                run_extraction(config, cluster)
                timed = time.perf_counter() - start
            print(
                f"{count:5d} slides: {timed / count * 1e3:6.0f} ms a slide "
                f"({watch.seconds / count * 1e3:.0f} ms of processors), "
                f"peak memory {watch.peak:.0f} MB",
                flush=True,
            )


def main() -> None:
    """Compare on one slide."""
    from napari_histoaug.slides.samples import fetch_sample

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", help=f"python of an environment with {peer}")
    parser.add_argument("--stride", type=int, nargs="*", default=[SIZE, SIZE // 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--many", type=int, nargs="*", help="only the run over so many generated slides"
    )
    given = parser.parse_args()
    if given.many is not None:
        many_slides(given.many or COUNTS)
        return
    path = given.slide or fetch_sample()
    print(f"{path.name}, {given.rounds} rounds")
    peers = {peer: python for peer in PEERS if (python := getattr(given, peer)) is not None}
    for peer in set(PEERS) - set(peers):
        print(f"{peer} is not compared: name its interpreter with --{peer}")
    for stride in given.stride:
        compare(path, peers, stride, given.rounds)
    write_forms(path, given.rounds)


if __name__ == "__main__":
    main()
