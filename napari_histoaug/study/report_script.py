"""What ``training/study/report.py`` does: the report of a run again, here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from napari_histoaug.learning.command_line import exit_code, new_parser, say
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.dividing import settled
from napari_histoaug.study.looking import look
from napari_histoaug.study.report import write_report


def report(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/study/report.py``; returns the exit code."""
    parser = new_parser("Write a study's report again.", "out=FOLDER")
    parser.add_argument("--to", type=Path, help="folder for page and results.json; the run's own")
    given = parser.parse_args(arguments)

    def whole() -> int:
        config = settled(load_config(StudyConfig, given.config, given.overrides))
        page = write_report(config.out, given.to, partial(look, config))
        say(f"written: {page}")
        return 0

    return exit_code(whole, "Stopped; the same command writes it again.")
