"""What ``training/study/stage.py`` does: run stages by name, each alone or all in their order."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.command_line import SOME_FAILED, exit_code, say
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.scripts import Stop
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.config import KINDS, REAL, StudyConfig
from napari_histoaug.study.cutting import SLIDES, cut_slide, slide_stages
from napari_histoaug.study.dividing import EXTRACTED, divide, settled
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.preparing import DATA, cut_real, prepare

WINNER = "winner.json"
Stopped = Callable[[], bool]


def run_stages(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/study/stage.py``; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run stages of a study.")
    parser.add_argument("stages", nargs="+", help="what to fill, e.g. cells/donor-100-0, or all")
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="overrides")
    parser.add_argument(
        "--keep-going", action="store_true", help="a stage that fails does not end the others"
    )
    given = parser.parse_args(arguments)

    def whole() -> int:
        config = load_config(StudyConfig, given.config, given.overrides)
        return run_all(config, given.stages, Stop(), keep_going=given.keep_going)

    return exit_code(whole, "Stopped; the same command goes on where this one was.")


def run_all(
    config: StudyConfig, names: Iterable[str], stop: Stopped, *, keep_going: bool = False
) -> int:
    """Run stages in turn; returns 0, or 1 when one failed and the others went on."""
    failed = 0
    for name in names:
        for stage in every(config) if name == "all" else [name]:
            if stop():
                raise KeyboardInterrupt
            try:
                done = run_stage(config, stage, stop)
            except HistoaugError as error:
                if not keep_going:
                    raise
                failed += 1
                say(f"{stage}: {error}")
                continue
            say(f"{stage}: {'done' if done else 'there already'}")
    return SOME_FAILED if failed else 0


def run_stage(config: StudyConfig, name: str, stop: Stopped) -> bool:
    """Run one stage; returns whether anything was done.

    Raises
    ------
    StudyError
        When there is no such stage.
    """
    head, _, rest = name.partition("/")
    config.out.mkdir(parents=True, exist_ok=True)
    if head == SLIDES and rest:
        return cut_slide(config, rest)
    if name == EXTRACTED:
        return divide(config)
    config = settled(config)
    if name == DATA:
        return prepare(config)
    if name == REAL:
        return cut_real(config)
    if head == "networks" and rest:
        from napari_histoaug.study.networks import teach_autoencoder, teach_generator

        kind, _, network = rest.partition("/")
        teach = {"autoencoders": teach_autoencoder, "generators": teach_generator}.get(kind)
        if teach is not None:
            return teach(config, network, stop)
    if head == "made" and rest:
        from napari_histoaug.study.pooling import make_pairs

        kind, _, shard = rest.partition(":")
        return make_pairs(config, kind, shard.replace("of", "/") or "1/1", stop)
    if head == "pools" and rest:
        from napari_histoaug.study.pooling import make_pool

        return make_pool(config, rest)
    if head == "starts" and rest:
        from napari_histoaug.study.teaching import teach_start

        if not rest.isdigit():
            raise StudyError(f"{name} names no start; write starts/SEED, e.g. starts/0.")
        return teach_start(config, int(rest), stop)
    if head == "cells" and rest:
        from napari_histoaug.study.teaching import CellName, teach_cell

        return teach_cell(config, CellName.parse(rest), stop)
    if head == "scores" and rest:
        from napari_histoaug.study.scoring import score_cell
        from napari_histoaug.study.teaching import CellName

        split, _, cell = rest.partition("/")
        return score_cell(config, CellName.parse(cell), split)
    return _run_whole(config, name, stop)


def _run_whole(config: StudyConfig, name: str, stop: Stopped) -> bool:
    """Run a stage that looks at all cells or pictures; returns whether anything was done."""
    if name == "winner":
        from napari_histoaug.study.choosing import choose_recipe

        choice = choose_recipe(config.out, config.compared_at)
        write_json(config.out / WINNER, asdict(choice))
        return True
    if name == "chosen":
        from napari_histoaug.study.choosing import write_choice

        write_choice(config.out)
        return True
    if name == "images":
        from napari_histoaug.study.imaging import judge_images

        return judge_images(config, stop)
    if name == "report":
        from napari_histoaug.study.looking import look
        from napari_histoaug.study.provenance import leaks, write_provenance
        from napari_histoaug.study.report import write_report

        if wrong := leaks(read_json(write_provenance(config))):
            raise StudyError(" ".join(wrong))
        write_report(config.out, look=lambda cell, field: look(config, cell, field))
        return True
    raise StudyError(f"There is no stage {name}; see --help.")


def compared(config: StudyConfig) -> list[str]:
    """Names of the cells that compare the recipes with each other and with real tissue alone."""
    arms = [f"{REAL}-0", *(f"{recipe}-{config.compared_at}" for recipe in config.recipes)]
    return [f"{arm}-{seed}" for seed in config.seeds for arm in arms]


def swept(config: StudyConfig, recipe: str) -> list[str]:
    """Names of the further cells of the sweep over ratios, for the recipe that won."""
    ratios = [ratio for ratio in config.ratios if ratio != config.compared_at]
    return [f"{recipe}-{ratio}-{seed}" for ratio in ratios for seed in config.seeds]


def every(config: StudyConfig) -> Iterable[str]:
    """All stages in an order in which each finds what it needs; the sweep follows the winner."""
    from napari_histoaug.study.networks import network_names

    if config.slides is not None:
        yield from (*slide_stages(config), EXTRACTED)
    yield from (DATA, REAL)
    if config.segmenter.start_steps:
        yield from (f"starts/{seed}" for seed in config.seeds)
    first = [name for name in compared(config) if name.startswith(REAL)]
    for name in first:
        yield from (f"cells/{name}", f"scores/validation/{name}")
    yield from network_names(config)
    yield from (f"made/{kind}" for kind in KINDS)
    yield from (f"pools/{recipe}" for recipe in config.recipes)
    rest = [name for name in compared(config) if name not in first]
    for name in rest:
        yield from (f"cells/{name}", f"scores/validation/{name}")
    yield "winner"
    sweep = swept(config, str(read_json(config.out / WINNER)["recipe"]))
    for name in sweep:
        yield from (f"cells/{name}", f"scores/validation/{name}")
    yield "chosen"
    yield from (f"scores/test/{name}" for name in (*first, *rest, *sweep))
    yield "images"
    yield "report"
