"""The script that predicts slides, callable from an installed wheel, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_histoaug.learning.command_line import on_many_slides, say
from napari_histoaug.patches.run import Here
from napari_histoaug.segmentation.many_slides import (
    TABLE,
    PredictConfig,
    SlideResult,
    predict_many,
    workers_for,
)


def predict_slides(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/predict_slides.py``; returns the exit code.

    0 when every slide was predicted, 1 when some failed, 2 for bad input, 130 when interrupted.
    """
    return on_many_slides(
        "Find vessels on many slides.",
        "least_area=50",
        PredictConfig,
        lambda config: any(result.problem for result in predict(config, say)),
        arguments,
    )


def predict(config: PredictConfig, say: Callable[[str], None]) -> list[SlideResult]:
    """Predict slides on the workers the configuration names, and say what came of it."""
    say(f"writing to {config.out}")
    workers = workers_for(config)
    if workers == 0 and config.scheduler is None:
        results = predict_many(config, Here(), say)
    else:
        from napari_histoaug.patches.cluster import Cluster

        with Cluster(workers or None, config.scheduler) as cluster:
            results = predict_many(config, cluster, say)
    failed = sum(result.problem is not None for result in results)
    say(f"{len(results) - failed} slides predicted, {failed} failed")
    say(f"written: {config.out / TABLE}")
    return results
