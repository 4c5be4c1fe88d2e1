"""The cost model against arithmetic, and its makespan against scheduling task by task."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

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
from napari_histoaug.study.errors import StudyError

RATES = Rates(
    patches_read_per_core_second=500,
    patches_written_per_core_second=100,
    fields_per_core_second=10,
    seconds_per_process=5,
    tasks_per_second=200,
    rows_per_second=50_000,
    records_per_second=10_000,
    pairs_saved_per_core_second=20,
    gpu_flops_per_second=5e13,
)
SITE = Site(gpus=4, cores=10, disk_bytes_per_second=1e9, network_bytes_per_second=1e10)
SLIDES = Slides(count=100, patches_per_slide=8192, bytes_per_slide=1e9)


def test_extraction_waits_for_its_busiest_resource() -> None:
    found = extraction(SLIDES, SITE, RATES)
    assert found.alone_seconds == {"cores": 163.84, "disk": 100, "scheduler": 2}
    assert (found.limit, found.seconds) == ("cores", 163.84 + 16.384)
    written = extraction(SLIDES, SITE, RATES, written_bytes_per_patch=1e5)
    assert written.alone_seconds == pytest.approx({"cores": 819.2, "disk": 181.92, "scheduler": 2})
    many = Site(4, 100, 1e9, 1e10)
    assert extraction(SLIDES, many, RATES).limit == "disk"


def test_cutting_fields_pays_for_a_process_a_slide() -> None:
    found = cutting(SLIDES, 50, 2e6, SITE, RATES)
    assert found.alone_seconds == pytest.approx({"cores": 100.0, "disk": 110.0})
    assert found.limit == "disk"


def test_generation_scales_until_the_cores_cannot_save() -> None:
    found = generation(1e6, 5e12, 2e5, SITE, RATES)
    assert found.alone_seconds == pytest.approx({"GPUs": 25_000, "cores": 5000, "disk": 200})
    assert found.seconds == pytest.approx(25_000 + 100)
    assert gpus_until_limit(found, SITE) == 20
    assert generation(1e6, 5e12, 2e5, Site(40, 10, 1e9, 1e10), RATES).limit == "cores"


def test_training_pays_for_gradients_once_there_are_two() -> None:
    alone = Site(1, 10, 1e9, 1e10)
    assert training(1000, 1e12, 16, 9e7, alone, RATES).seconds == pytest.approx(320)
    # 2 x 3/4 x 4 bytes x 90 M / 1e10 = 54 ms a step
    assert training(1000, 1e12, 16, 9e7, SITE, RATES).seconds == pytest.approx(80 + 54)
    # more GPUs than examples stand idle
    wide = training(1000, 1e12, 16, 9e7, Site(64, 10, 1e9, 1e10), RATES)
    assert wide.alone_seconds["GPUs"] == pytest.approx(20)


def test_prediction_reads_what_it_predicts() -> None:
    found = prediction(SLIDES, 6e10, SITE, RATES)
    assert found.alone_seconds == pytest.approx(
        {"GPUs": 245.76, "cores": 163.84, "disk": 100, "scheduler": 0.5}
    )
    assert found.limit == "GPUs"


@pytest.mark.parametrize("workers", [1, 8])
def test_the_makespan_lies_within_what_scheduling_allows(workers: int) -> None:
    durations = np.random.default_rng(0).lognormal(0, 0.6, 400)
    free = [0.0] * workers
    for duration in durations:
        heapq.heappush(free, heapq.heappop(free) + duration)
    found = makespan_seconds(durations.sum(), durations.max(), workers)
    assert abs(found - max(free)) <= (1 - 1 / workers) * durations.max() / 2 + 1e-9


def test_deaths_cost_half_a_task_and_a_restart_each() -> None:
    assert with_deaths_seconds(100, 0, 30) == 100
    # half of the attempts die: one death a task on average
    assert with_deaths_seconds(100, 0.5, 30) == 180
    with pytest.raises(StudyError, match="never ends"):
        with_deaths_seconds(100, 1, 30)


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(StudyError, match="at least one GPU"):
        Site(0, 1, 1, 1)
    with pytest.raises(StudyError, match="No other resource"):
        gpus_until_limit(Estimate({"GPUs": 1.0}), SITE)
