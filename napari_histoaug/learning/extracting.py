"""The script that extracts patches, callable from an installed wheel, too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.patches.run import ExtractConfig, Here, Report, run_extraction

SOME_FAILED = 1


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def extract_patches(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/extract_patches.py``; returns the exit code.

    0 when every slide was used, 1 when some failed, 2 for bad input, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(description="Extract patches of many slides.")
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("--scheduler", help="address of a dask scheduler, tcp://...")
    parser.add_argument("--workers", type=int, help="processes on this machine; 0: in this one")
    parser.add_argument("overrides", nargs="*", help="dotted overrides, e.g. patches.stride=256")
    given = parser.parse_args(arguments)
    overrides = list(given.overrides)
    if given.scheduler is not None:
        overrides.append(f"scheduler={given.scheduler}")
    if given.workers is not None:
        overrides.append(f"workers={given.workers}")
    try:
        report = extract(load_config(ExtractConfig, given.config, overrides), say)
    except HistoaugError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped; the same command goes on where this one was.")
        return 130
    return SOME_FAILED if report.count("failed") else 0


def extract(config: ExtractConfig, say: Callable[[str], None]) -> Report:
    """Extract patches on the workers the configuration names, and say what came of it.

    Raises
    ------
    PatchError
        See :func:`~napari_histoaug.patches.run.run_extraction`.
    """
    say(f"writing to {config.out}")
    if config.workers == 0 and config.scheduler is None:
        report = run_extraction(config, Here(), say)
    else:
        from napari_histoaug.patches.cluster import Cluster

        with Cluster(config.workers, config.scheduler) as cluster:
            report = run_extraction(config, cluster, say)
    counts = (f"{report.count(s)} {s}" for s in ("done", "empty", "skipped", "failed"))
    say(f"{sum(s.patches for s in report.slides)} patches; slides: {', '.join(counts)}")
    say(f"written: {report.manifest}")
    return report
