"""Claim: the cost model (docs/scaling.md) predicts how long slides take on a cluster that fails.

    python benchmarks/scaling.py rates [SLIDE ...]    what one core does in a second, here
    python benchmarks/scaling.py cluster              predicted and real end of 8 workers
    python benchmarks/scaling.py tables               1,000 slides and 1 M pairs on 1, 8 and 64 GPUs

- rates: the first slide gives the rate of planning and reading; the seconds of every further one
  are predicted from it and printed beside the measured ones. Also fields of a study cut from the
  first slide, tasks a second of the scheduler, rows a second of the manifest, and pairs saved a
  second.
- cluster: 8 worker processes. Every slide is a task that sleeps a hundredth of its modelled time;
  some kill their worker half way, which comes back after a while, and some slides are damaged.
  Prints the predicted and the simulated makespan side by side, and whether a slide was lost.
- tables: from the rates above and assumed GPUs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_histoaug.patches.cluster import Cluster
from napari_histoaug.study.costs import (
    Estimate,
    Rates,
    Site,
    Slides,
    cutting,
    extraction,
    generation,
    gpus_until_limit,
    makespan_seconds,
    prediction,
    training,
    with_deaths_seconds,
)

WORKERS, SLIDES, FASTER = 8, 160, 100
MEAN_SECONDS, SPREAD = 120.0, 0.5  # of a slide, unscaled; standard deviation of its logarithm
DEATHS, DAMAGED, RESTART_SECONDS = 0.1, 0.05, 30.0
TFLOP = 1e12

# Measured by `rates` (docs/scaling.md). The GPU is assumed: a consumer card, 50 TFLOP/s sustained.
MEASURED = Rates(
    patches_read_per_core_second=680,
    patches_written_per_core_second=193,
    fields_per_core_second=11,
    seconds_per_process=5.9,
    tasks_per_second=114,
    rows_per_second=410_000,
    records_per_second=15_000,
    pairs_saved_per_core_second=31,
    gpu_flops_per_second=50 * TFLOP,
)
# Operations by counting multiply-adds of each network twice.
LATENT_EVALUATION, PIXEL_EVALUATION = 0.0156 * TFLOP, 0.25 * TFLOP  # modulations kept
ENCODE_AND_DECODE = 3.8 * TFLOP  # factor 8, 128 channels, 512 px
LATENT_STEP, PIXEL_STEP = 1.5 * TFLOP / 16, 24 * TFLOP / 16  # an example of a training step
WINDOW = 0.06 * TFLOP  # ResNet-34 U-Net, 512 px


class Task(NamedTuple):
    """A slide that stands for one: it only sleeps."""

    seconds: float
    dies: bool = False
    damaged: bool = False


def work(pipe: Connection) -> None:
    """What a worker process does: tasks, until it is killed or told to stop."""
    while (order := pipe.recv()) is not None:
        task, first = order
        if task.dies and first:
            time.sleep(task.seconds / 2)
            os.kill(os.getpid(), signal.SIGKILL)
        # A slide that cannot be read says so early.
        time.sleep(task.seconds / 10 if task.damaged else task.seconds)
        pipe.send(not task.damaged)


class Workers:
    """Worker processes that may die; a dead one is replaced after a while, its task begun again.

    As dask does it with ``allowed-failures`` of one; here the time to replace a worker can be set.
    """

    def __init__(self, count: int, restart_seconds: float) -> None:
        self.restart_seconds = restart_seconds
        self.fork = multiprocessing.get_context("fork")
        self.free = [self._new() for _ in range(count)]
        self.busy: dict[Connection, int] = {}
        self.coming: list[float] = []

    def _new(self) -> Connection:
        here, there = self.fork.Pipe()
        self.fork.Process(target=work, args=(there,), daemon=True).start()
        there.close()  # so that the end of the process is the end of the pipe
        return here

    def run(self, tasks: Sequence[Task]) -> list[bool | None]:
        """True for each task done, False for a damaged slide, None for one that was lost."""
        told: list[bool | None] = [None] * len(tasks)
        tries, waiting = [0] * len(tasks), deque(range(len(tasks)))
        while waiting or self.busy:
            while waiting and self.free:
                pipe, index = self.free.pop(), waiting.popleft()
                pipe.send((tasks[index], tries[index] == 0))
                tries[index] += 1
                self.busy[pipe] = index
            for pipe in wait(list(self.busy), timeout=0.01):
                index = self.busy.pop(pipe)
                try:
                    told[index] = pipe.recv()
                    self.free.append(pipe)
                except EOFError:
                    self.coming.append(time.perf_counter() + self.restart_seconds)
                    if tries[index] < 2:
                        waiting.appendleft(index)
            for due in [t for t in self.coming if t <= time.perf_counter()]:
                self.coming.remove(due)
                self.free.append(self._new())
        return told


def nothing() -> None:
    """A task without work."""


def cluster_simulation(seed: int) -> None:
    """Print predicted and real makespans, undisturbed and with failures."""
    rng = np.random.default_rng(seed)
    seconds = rng.lognormal(np.log(MEAN_SECONDS) - SPREAD**2 / 2, SPREAD, SLIDES) / FASTER
    dying = rng.random(SLIDES) < DEATHS
    damaged = ~dying & (rng.random(SLIDES) < DAMAGED)
    restart = RESTART_SECONDS / FASTER
    calm = [Task(float(s)) for s in seconds]
    harm = zip(seconds, dying, damaged, strict=True)
    rough = [Task(float(s), bool(d), bool(b)) for s, d, b in harm]
    worked = np.where(damaged, seconds / 10, seconds)
    # One death each: as many on average as when half of the attempts die.
    lost = sum(with_deaths_seconds(s, 0.5, restart) - s for s in seconds[dying])
    print(f"{SLIDES} slides, {WORKERS} workers, {MEAN_SECONDS:.0f} s a slide on average")
    for name, tasks, total in (
        ("undisturbed", calm, seconds.sum()),
        (f"{dying.sum()} deaths, {damaged.sum()} damaged", rough, worked.sum() + lost),
    ):
        workers = Workers(WORKERS, restart)
        start = time.perf_counter()
        told = workers.run(tasks)
        real = time.perf_counter() - start
        predicted = makespan_seconds(total, seconds.max(), WORKERS)
        print(
            f"{name}: predicted {predicted * FASTER / 60:.1f} min, simulated "
            f"{real * FASTER / 60:.1f} min ({real / predicted:.3f}); {told.count(True)} done, "
            f"{told.count(False)} told as damaged, {told.count(None)} lost"
        )


def rates(slides: Sequence[Path]) -> None:
    """Print what a core does here, and a prediction of each further slide."""
    from patches import ours

    found: list[tuple[int, float]] = []
    for path in slides:
        runs = [ours(path, 256) for _ in range(3)]
        count, seconds = runs[0][0], statistics.median(s for _, s in runs)
        line = f"{path.stem}: {count} patches planned and read in {seconds:.2f} s"
        if found:
            predicted = count * found[0][1] / found[0][0]
            line += f", predicted {predicted:.2f} s ({seconds / predicted:.2f})"
        found.append((count, seconds))
        print(f"{line}; {count / seconds:.0f} a second")
    for path in slides[:1]:
        print(f"fields cut from {path.stem}: {fields_a_second(path):.1f} a second")
    with Cluster(2) as cluster:
        for index in range(8):
            cluster.start(index, nothing)
        for _ in range(8):
            cluster.next()
        start, count = time.perf_counter(), 1000
        for index in range(count):
            cluster.start(index, nothing)
        for _ in range(count):
            cluster.next()
        print(f"scheduler: {count / (time.perf_counter() - start):.0f} tasks a second")
    print(f"manifest: {rows_a_second(200_000):.0f} rows a second")
    print(f"records of pairs: {records_a_second(3000):.0f} a second")
    print(f"pairs saved: {pairs_a_second(60):.0f} a second")


def fields_a_second(path: Path) -> float:
    """Fields of 1024 px cut from a slide as a study does it: one with a vessel, most without."""
    import shapely

    from napari_histoaug.annotations import Document, Feature, write_geojson
    from napari_histoaug.slides import open_slide
    from napari_histoaug.study.config import StudyConfig
    from napari_histoaug.study.script import run_stage

    with open_slide(path) as slide:
        height, width = slide.levels[0].shape
    outline = Feature.new(shapely.Point(width / 2, height / 2).buffer(20), "blood_vessel")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_geojson(Document.from_features([outline]), folder / "vessel.geojson")
        line = f"{path.resolve()},somebody,vessel.geojson,0.5"
        (folder / "table.csv").write_text(f"slide,patient,annotations,mpp\n{line}\n")
        told = {"table": folder / "table.csv", "empty_share": 0.99}
        config = StudyConfig.model_validate({"out": folder / "run", "slides": told})
        run_stage(config, "slides/1", lambda: False)
        cost = json.loads((folder / "run" / "slides" / "1" / "cost.json").read_text())
        return float(cost["count"] / cost["processor_seconds"])


def rows_a_second(count: int) -> float:
    """Rows of a patch manifest gathered from 50 slides' tables and written as one."""
    import pyarrow as pa

    from napari_histoaug.patches.manifest import write_tables

    rng = np.random.default_rng(0)
    rows = count // 50
    columns = {f"n{i}": rng.integers(0, 1 << 30, rows) for i in range(12)}
    columns |= {f"f{i}": rng.random(rows) for i in range(4)}
    columns |= {f"s{i}": np.array([f"{i}-{j % 7}" for j in range(rows)]) for i in range(6)}
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table(columns)
        start = time.perf_counter()
        write_tables(Path(folder) / "manifest.parquet", table.schema, [table] * 50)
        return count / (time.perf_counter() - start)


def records_a_second(count: int) -> float:
    """Records of generated pairs, one file each, gathered into their manifest."""
    from napari_histoaug.generation.dataset import ROWS, write_manifest

    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / ROWS
        rows.mkdir()
        record = json.dumps({f"column{i}": f"{i:032d}" for i in range(14)})
        for index in range(count):
            (rows / f"synthetic_x{index:07d}_y0.json").write_text(record)
        start = time.perf_counter()
        write_manifest(Path(folder))
        return count / (time.perf_counter() - start)


def pairs_a_second(count: int) -> float:
    """Pairs of 256 px encoded as PNG and synced, with their record, as generated ones are."""
    from PIL import Image

    rng = np.random.default_rng(0)
    smooth = rng.integers(90, 220, (32, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    image = smooth + rng.integers(0, 24, smooth.shape, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for index in range(count):
            for name, array in (("tile", image), ("labels", image[..., 0] // 200)):
                with (Path(folder) / f"{name}{index}.png").open("wb") as file:
                    Image.fromarray(array).save(file, format="PNG")
                    file.flush()
                    os.fsync(file.fileno())
            (Path(folder) / f"{index}.json").write_text("{}")
        return count / (time.perf_counter() - start)


def tables() -> None:
    """Print the tables of docs/scaling.md."""
    slides = Slides(count=1000, patches_per_slide=20_000, bytes_per_slide=2e9)
    quick, paper = 20, 2410
    for gpus in (1, 8, 64):
        site = Site(gpus, 8 * gpus, 1e9 if gpus < 64 else 4e9, 1e11 if gpus <= 8 else 1e10)
        print(f"\n{gpus} GPUs, {site.cores} cores")
        latent = quick * LATENT_EVALUATION + ENCODE_AND_DECODE
        for name, found in {
            "extract, manifest": extraction(slides, site, MEASURED),
            "extract, zarr": extraction(slides, site, MEASURED, written_bytes_per_patch=186e3),
            "cut fields": cutting(slides, 200, 2.2e6, site, MEASURED),
            "train latent, 200k": training(200_000, LATENT_STEP, 64, 9e7, site, MEASURED),
            "train pixel, 200k": training(200_000, PIXEL_STEP, 64, 9e7, site, MEASURED),
            "1 M pairs, latent": generation(1e6, latent, 2e5, site, MEASURED),
            "1 M pairs, pixel": generation(1e6, quick * PIXEL_EVALUATION, 2e5, site, MEASURED),
            "1 M pairs, RePaint": generation(1e6, paper * PIXEL_EVALUATION, 2e5, site, MEASURED),
            "predict": prediction(slides, WINDOW, site, MEASURED),
        }.items():
            print(f"{name:20} {_line(found, site)}")


def _line(found: Estimate, site: Site) -> str:
    seconds = found.seconds
    told = f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
    told = told if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
    also = ""
    if found.limit == "GPUs" and len(found.alone_seconds) > 1:
        also = f"; the rest keeps up with {gpus_until_limit(found, site)} GPUs"
    share = found.serial_seconds / seconds
    return f"{told:10} waits for {found.limit}{also}; {share:.0%} one after the other"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["rates", "cluster", "tables"], nargs="?")
    parser.add_argument("slides", type=Path, nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what in ("rates", None):
        rates(given.slides)
    if given.what in ("cluster", None):
        cluster_simulation(given.seed)
    if given.what in ("tables", None):
        tables()


if __name__ == "__main__":
    main()
