"""What a study costs at other sizes: seconds from rates, and which resource runs out first.

Pure arithmetic. Every resource (cores, GPUs, disk, network, the one process that schedules, the one
that writes the manifest) gets the seconds it would need alone; work overlaps, so a stage takes as
long as its busiest resource, plus what cannot overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_histoaug.study.errors import StudyError

PATCHES_A_TASK = 4096  # of an extraction


@dataclass(frozen=True)
class Rates:
    """What one unit does in a second, measured or assumed; docs/scaling.md says which is which.

    Attributes
    ----------
    patches_read_per_core_second : float
        Planned and read, 256 px.
    patches_written_per_core_second : float
        Read and written as sharded zarr.
    fields_per_core_second : float
        Fields of 1024 px cut for a study, with their outlines.
    seconds_per_process : float
        Until a stage of a study begins: a Python with its libraries.
    tasks_per_second : float
        That one dask scheduler hands out and collects.
    rows_per_second : float
        Of a patch manifest, gathered by the one process that writes it.
    records_per_second : float
        Of generated pairs, one file each, gathered likewise.
    pairs_saved_per_core_second : float
        Generated pairs encoded and synced to the disk with their record.
    gpu_flops_per_second : float
        Sustained, of one GPU.
    """

    patches_read_per_core_second: float
    patches_written_per_core_second: float
    fields_per_core_second: float
    seconds_per_process: float
    tasks_per_second: float
    rows_per_second: float
    records_per_second: float
    pairs_saved_per_core_second: float
    gpu_flops_per_second: float


@dataclass(frozen=True)
class Site:
    """The machines.

    Attributes
    ----------
    gpus, cores : int
        Of all machines together.
    disk_bytes_per_second : float
        Of the shared storage, all readers together.
    network_bytes_per_second : float
        Between two GPUs while they add up gradients.
    """

    gpus: int
    cores: int
    disk_bytes_per_second: float
    network_bytes_per_second: float

    def __post_init__(self) -> None:
        if self.gpus < 1 or self.cores < 1:
            raise StudyError("A cost estimate needs at least one GPU and one core.")


@dataclass(frozen=True)
class Slides:
    """The slides of a study.

    Attributes
    ----------
    count : int
    patches_per_slide : float
        Of 256 px that hold tissue.
    bytes_per_slide : float
    """

    count: int
    patches_per_slide: float
    bytes_per_slide: float

    @property
    def patches(self) -> float:
        """Of all slides."""
        return self.count * self.patches_per_slide


@dataclass(frozen=True)
class Estimate:
    """Seconds of a stage.

    Attributes
    ----------
    alone_seconds : dict of str to float
        What each resource needs by itself.
    serial_seconds : float
        What starts only when all else is done.
    """

    alone_seconds: Mapping[str, float]
    serial_seconds: float = field(default=0.0)

    @property
    def limit(self) -> str:
        """The resource that the others wait for."""
        return max(self.alone_seconds, key=lambda name: self.alone_seconds[name])

    @property
    def seconds(self) -> float:
        """Wall time."""
        return max(self.alone_seconds.values()) + self.serial_seconds


def extraction(
    slides: Slides, site: Site, rates: Rates, *, written_bytes_per_patch: float = 0.0
) -> Estimate:
    """Plan patches of all slides; their pixels are written, too, if they have bytes."""
    written = written_bytes_per_patch > 0
    a_second = (
        rates.patches_written_per_core_second if written else rates.patches_read_per_core_second
    )
    moved = slides.count * slides.bytes_per_slide + slides.patches * written_bytes_per_patch
    tasks = 2 + slides.patches_per_slide / PATCHES_A_TASK  # plan, read the parts, finish
    return Estimate(
        {
            "cores": slides.patches / a_second / site.cores,
            "disk": moved / site.disk_bytes_per_second,
            "scheduler": slides.count * tasks / rates.tasks_per_second,
        },
        serial_seconds=slides.patches / rates.rows_per_second,
    )


def cutting(
    slides: Slides, fields_per_slide: float, bytes_per_field: float, site: Site, rates: Rates
) -> Estimate:
    """Cut the fields of a study, one process a slide; each slide is read whole to be known."""
    alone = rates.seconds_per_process + fields_per_slide / rates.fields_per_core_second
    moved = slides.bytes_per_slide + fields_per_slide * bytes_per_field
    return Estimate(
        {
            "cores": slides.count * alone / site.cores,
            "disk": slides.count * moved / site.disk_bytes_per_second,
        }
    )


def generation(
    pairs: float, flops_per_pair: float, bytes_per_pair: float, site: Site, rates: Rates
) -> Estimate:
    """Make pairs; each GPU makes pairs of its own, so nothing is sent between them."""
    return Estimate(
        {
            "GPUs": pairs * flops_per_pair / rates.gpu_flops_per_second / site.gpus,
            "cores": pairs / rates.pairs_saved_per_core_second / site.cores,
            "disk": pairs * bytes_per_pair / site.disk_bytes_per_second,
        },
        serial_seconds=pairs / rates.records_per_second,
    )


def training(
    steps: int, flops_per_example: float, batch: int, parameters: float, site: Site, rates: Rates
) -> Estimate:
    """Teach a network with `batch` examples a step over all GPUs.

    Gradients (4 bytes each) go around a ring twice; here they do not overlap with computing, which
    is the worst case.
    """
    computing = steps * batch * flops_per_example / rates.gpu_flops_per_second
    around = 2 * (site.gpus - 1) / site.gpus * 4 * parameters / site.network_bytes_per_second
    return Estimate({"GPUs": computing / min(site.gpus, batch)}, serial_seconds=steps * around)


def prediction(slides: Slides, flops_per_window: float, site: Site, rates: Rates) -> Estimate:
    """Predict the tissue of all slides in windows of 512 px that share half with the next."""
    windows = slides.patches  # a window starts every 256 px in both directions
    return Estimate(
        {
            "GPUs": windows * flops_per_window / rates.gpu_flops_per_second / site.gpus,
            "cores": slides.patches / rates.patches_read_per_core_second / site.cores,
            "disk": slides.count * slides.bytes_per_slide / site.disk_bytes_per_second,
            "scheduler": slides.count / rates.tasks_per_second,
        }
    )


def makespan_seconds(total_seconds: float, longest_seconds: float, workers: int) -> float:
    """When the last of many tasks ends, if a free worker always takes the next one.

    The middle of the bounds ``total / W`` and ``total / W + (1 - 1 / W) longest`` (Graham 1969).
    """
    return total_seconds / workers + (1 - 1 / workers) * longest_seconds / 2


def with_deaths_seconds(task_seconds: float, deaths: float, restart_seconds: float) -> float:
    """Worker time a task takes on average, when some attempts die half way.

    Parameters
    ----------
    task_seconds : float
        Undisturbed.
    deaths : float
        Probability that an attempt dies with its worker, below 1.
    restart_seconds : float
        Until the worker is back.

    Raises
    ------
    StudyError
        When every attempt dies.
    """
    if not 0 <= deaths < 1:
        raise StudyError(f"A task of which {deaths:.0%} of the attempts die never ends.")
    lost = task_seconds / 2 + restart_seconds
    return task_seconds + deaths / (1 - deaths) * lost


def gpus_until_limit(estimate: Estimate, site: Site) -> int:
    """How many GPUs keep a stage bound by GPUs; more of them wait for another resource."""
    others = [s for name, s in estimate.alone_seconds.items() if name != "GPUs"]
    if not others or max(others) == 0:
        raise StudyError("No other resource limits this stage.")
    return max(1, math.floor(estimate.alone_seconds["GPUs"] * site.gpus / max(others)))
