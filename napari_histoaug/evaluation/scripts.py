"""What ``evaluate.py`` does, callable from it and from an installed wheel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_histoaug.edits.versions import versions
from napari_histoaug.errors import HistoaugError
from napari_histoaug.evaluation.config import ImageEvaluation, SegmentationEvaluation
from napari_histoaug.evaluation.image_scores import judge_images
from napari_histoaug.evaluation.page import as_text, write_results
from napari_histoaug.evaluation.segmentation_scores import judge_segmentation
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.report import shown

KINDS: dict[str, tuple[type[Any], Any, str]] = {
    "segmentation": (SegmentationEvaluation, judge_segmentation, "Segmentation"),
    "images": (ImageEvaluation, judge_images, "Image quality"),
}
SOME_FAILED = 1


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/evaluate.py``; returns the exit code.

    0 when all went well, 1 when some slides were left out, 2 for bad input, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(description="Judge predictions, or generated pictures.")
    parser.add_argument("kind", choices=KINDS, help="what to judge")
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("overrides", nargs="*", help="dotted overrides, e.g. complete=true")
    given = parser.parse_args(arguments)
    kind, judge, title = KINDS[given.kind]
    try:
        config = load_config(kind, given.config, given.overrides)
        judged = judge(config, say)
        about = {"split": config.split, "settings": shown(config)}
        title = f"{title}, {config.split}"
        written = write_results(
            config.out, title, judged.figures, judged.tables, judged.notes, about
        )
    except HistoaugError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped; nothing was written.")
        return 130
    made_by = "versions: " + ", ".join(f"{name} {each}" for name, each in versions().items())
    print(as_text(judged.tables, [*judged.notes, made_by]))  # noqa: T201
    say(f"written: {', '.join(str(path) for path in written)}")
    return SOME_FAILED if judged.failed else 0
