"""The script that extracts patches, callable from an installed wheel, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_histoaug.learning.command_line import on_many_slides, say
from napari_histoaug.patches.run import ExtractConfig, Here, Report, run_extraction


def extract_patches(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/extract_patches.py``; returns the exit code.

    0 when every slide was used, 1 when some failed, 2 for bad input, 130 when interrupted.
    """
    return on_many_slides(
        "Extract patches of many slides.",
        "patches.stride=256",
        ExtractConfig,
        lambda config: bool(extract(config, say).count("failed")),
        arguments,
    )


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
