"""The script that predicts slides, callable from an installed wheel, too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.patches.run import Here
from napari_histoaug.segmentation.many_slides import (
    TABLE,
    PredictConfig,
    SlideResult,
    predict_many,
    workers_for,
)

SOME_FAILED = 1


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def predict_slides(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/predict_slides.py``; returns the exit code.

    0 when every slide was predicted, 1 when some failed, 2 for bad input, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(description="Find vessels on many slides.")
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("--scheduler", help="address of a dask scheduler, tcp://...")
    parser.add_argument("--workers", type=int, help="processes on this machine; 0: in this one")
    parser.add_argument("overrides", nargs="*", help="dotted overrides, e.g. least_area=50")
    given = parser.parse_args(arguments)
    overrides = list(given.overrides)
    for name in ("scheduler", "workers"):
        if getattr(given, name) is not None:
            overrides.append(f"{name}={getattr(given, name)}")
    try:
        results = predict(load_config(PredictConfig, given.config, overrides), say)
    except HistoaugError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped; the same command goes on where this one was.")
        return 130
    return SOME_FAILED if any(result.problem for result in results) else 0


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
