"""The last stage: everything a run folder holds becomes ``results.json`` and one page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from napari_histoaug.study.page import DRAWS, write_page
from napari_histoaug.study.pictures import Judged, error_pictures, sample_pictures
from napari_histoaug.study.results import POOLS, RESULTS, collect, read_results

REPORT = Path("report") / "index.html"


def write_report(
    run: Path,
    out: Path | None = None,
    look: Callable[[str, str], Judged] | None = None,
    *,
    draws: int = DRAWS,
) -> Path:
    """Write ``results.json`` and ``report/index.html``; returns the page's path.

    Parameters
    ----------
    run : Path
        The folder of a study; its ``results.json`` is written anew.
    out : Path, optional
        Where page and ``results.json`` go; the run folder itself if omitted.
    look : callable, optional
        Takes the names of a cell and of a test field, and says what its segmenter finds there;
        without it the page has no pictures of right and wrong pixels.
    draws : int
        Bootstrap resamples.

    Raises
    ------
    StudyError
        When the folder holds no scores, or damaged ones.
    """
    written = collect(run)
    results = read_results(written)
    out = out or run
    if out != run:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, out / RESULTS)
    chosen = results.content["chosen"]
    errors = []
    if look is not None and chosen is not None:
        errors = error_pictures(results.cells, (chosen["recipe"], chosen["ratio"]), look)
    return write_page(out / REPORT, results, errors, sample_pictures(run / POOLS), draws=draws)
