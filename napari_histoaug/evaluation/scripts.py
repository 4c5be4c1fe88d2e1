"""What ``evaluate.py`` does, callable from it and from an installed wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_histoaug.edits.versions import versions
from napari_histoaug.evaluation.config import ImageEvaluation, SegmentationEvaluation
from napari_histoaug.evaluation.image_scores import judge_images
from napari_histoaug.evaluation.page import as_text, write_results
from napari_histoaug.evaluation.segmentation_scores import judge_segmentation
from napari_histoaug.learning.command_line import SOME_FAILED, exit_code, new_parser, say
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.report import shown

KINDS: dict[str, tuple[type[Any], Any, str]] = {
    "segmentation": (SegmentationEvaluation, judge_segmentation, "Segmentation"),
    "images": (ImageEvaluation, judge_images, "Image quality"),
}


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/evaluate.py``; returns the exit code.

    0 when all went well, 1 when some slides were left out, 2 for bad input, 130 when interrupted.
    """
    parser = new_parser("Judge predictions, or generated pictures.", "complete=true", KINDS)
    given = parser.parse_args(arguments)
    kind, judge, title = KINDS[given.kind]

    def whole() -> int:
        return _judge(load_config(kind, given.config, given.overrides), judge, title)

    return exit_code(whole, "Stopped; nothing was written.")


def _judge(config: Any, judge: Any, title: str) -> int:
    judged = judge(config, say)
    about = {"split": config.split, "settings": shown(config)}
    written = write_results(
        config.out,
        f"{title}, {config.split}",
        judged.figures,
        judged.tables,
        judged.notes,
        about,
    )
    made_by = "versions: " + ", ".join(f"{name} {each}" for name, each in versions().items())
    print(as_text(judged.tables, [*judged.notes, made_by]))  # noqa: T201
    say(f"written: {', '.join(str(path) for path in written)}")
    return SOME_FAILED if judged.failed else 0
