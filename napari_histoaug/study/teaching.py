"""A cell of the study: one segmenter, taught on real fields and some share of generated ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_histoaug.learning.config import DataConfig, LoopConfig
from napari_histoaug.learning.loop import never
from napari_histoaug.learning.segmentation_config import (
    SegmentationTraining,
    SyntheticConfig,
    Variation,
)
from napari_histoaug.learning.segmentation_script import fit_segmentation
from napari_histoaug.learning.tissue import case_of
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.config import REAL, StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.preparing import DATA, DATA_FACTS, LABELS, TILES
from napari_histoaug.study.stages import fill, key_of, link

STARTS, CELLS, POOLS, SMALL, SEGMENTER = "starts", "cells", "pools", "small", "segmenter"
TRAINING, PAIRS, START_FACTS = "training", "pairs", "start.json"
START_SEED = 1000


@dataclass(frozen=True)
class CellName:
    """Which segmenter: ``<recipe>-<ratio>-<seed>``."""

    recipe: str
    ratio: int
    seed: int

    def __str__(self) -> str:
        return f"{self.recipe}-{self.ratio}-{self.seed}"

    @classmethod
    def parse(cls, text: str) -> CellName:
        """Read a name.

        Raises
        ------
        StudyError
            When it is none.
        """
        recipe, _, rest = text.rpartition("-")
        recipe, _, ratio = recipe.rpartition("-")
        if not recipe or not ratio.isdigit() or not rest.isdigit():
            raise StudyError(f"{text} names no cell; write recipe-ratio-seed, e.g. donor-100-0.")
        if (recipe == REAL) != (ratio == "0"):
            raise StudyError(f"{text} names no cell: real tissue alone is {REAL}-0-{rest}.")
        return cls(recipe, int(ratio), int(rest))


def teach_start(config: StudyConfig, seed: int, stop: Callable[[], bool] = never) -> bool:
    """Teach what all cells of a seed go on from; returns whether anything was done.

    The learning rate stays where it is; each cell lets it fall at the end of its own steps, so that
    a start and a cell together are one schedule (warm-up, stable, decay).

    Raises
    ------
    StudyError
        When the study has no shared starts, or the stages before have not been run.
    """
    if not config.segmenter.start_steps:
        raise StudyError("The cells share no start; set segmenter.start_steps to have one.")
    told = config.segmenter.model_dump(mode="json", exclude={"threads", "steps"})
    inputs = {"segmenter": told, "seed": seed, "real": key_of(config.out / REAL)}

    def make(part: Path) -> int:
        training = start_training(config, seed, part)
        _keep(training, part, stop)
        facts = read_json(config.out / DATA / DATA_FACTS)
        write_json(part / START_FACTS, {"fields": facts["fields"]})
        return training.loop.steps * training.loop.batch

    return fill(config.out / STARTS / str(seed), inputs, make, "cpu")


def teach_cell(config: StudyConfig, name: CellName, stop: Callable[[], bool] = never) -> bool:
    """Teach a cell's segmenter; returns whether anything was done.

    Raises
    ------
    StudyError
        When the stages before have not been run, or a pool is too small.
    """
    place = config.out / CELLS / str(name)
    s = config.segmenter
    inputs = {
        "segmenter": s.model_dump(mode="json", exclude={"threads", "start_steps"}),
        "cell": str(name),
        "real": key_of(config.out / REAL),
        "start": key_of(config.out / STARTS / str(name.seed)) if s.start_steps else None,
        "pool": None if name.recipe == REAL else key_of(config.out / POOLS / name.recipe),
    }

    def make(part: Path) -> int:
        training = training_of(config, name, part)
        if name.recipe != REAL:
            _mix(config, name, part / PAIRS)
        _keep(training, part, stop)
        return training.loop.steps * training.loop.batch

    return fill(place, inputs, make, "cpu")


def _keep(training: SegmentationTraining, part: Path, stop: Callable[[], bool]) -> None:
    """Teach, and keep the segmenter and its history only."""
    written = fit_segmentation(training, stop)
    shutil.rmtree(part / SEGMENTER, ignore_errors=True)
    written.rename(part / SEGMENTER)
    link(training.loop.out / "log.jsonl", part / "history.jsonl")
    for folder in (training.loop.out, part / PAIRS):
        shutil.rmtree(folder, ignore_errors=True)


def start_training(config: StudyConfig, seed: int, part: Path) -> SegmentationTraining:
    """What ``train_segmentation.py`` would be told to teach the start of a seed."""
    s, t = config.segmenter, config.tissue
    real = config.out / REAL
    present = {case_of(path) for path in (real / TILES).iterdir()}
    return SegmentationTraining(
        data=DataConfig(
            tiles=real / TILES,
            labels=real / LABELS,
            train_cases=tuple(case for case in t.train_cases if case in present),
            validation_cases=t.validation_cases,
            classes=(t.label,),
            mpp=t.mpp * s.coarse,
            crop=s.crop,
            vessel_share=s.vessel_share,
        ),
        loop=LoopConfig(
            out=part / TRAINING,
            steps=s.start_steps or s.steps,
            batch=s.batch,
            learning_rate=s.learning_rate,
            warmup=min(50, s.steps),
            ema=s.ema,
            precision=s.precision,
            threads=s.threads,
            save_minutes=1,
            # Thresholds are chosen on all validation fields afterwards.
            validate_every=10 * (s.start_steps or s.steps),
            sample_every=0,
            # Its cells see other examples than it has seen.
            seed=START_SEED + seed,
        ),
        model=s.model,
        encoder_weights=s.encoder_weights,
        vary=Variation(stain=s.stain, scale=0, turn=False),
        name=f"start-{seed}",
        attribution=t.attribution,
    )


def training_of(config: StudyConfig, name: CellName, part: Path) -> SegmentationTraining:
    """What ``train_segmentation.py`` would be told to teach this cell."""
    s = config.segmenter
    whole = start_training(config, name.seed, part)
    pairs = SyntheticConfig(
        tiles=part / PAIRS / TILES,
        labels=part / PAIRS / LABELS,
        # How frequent vessels are in a pool is a part of its recipe.
        vessel_share=0,
    )
    loop = {
        "steps": s.steps,
        "decay_to": 0.05,
        "validate_every": 10 * s.steps,
        "seed": name.seed,
    }
    own = {
        "loop": whole.loop.model_copy(update=loop),
        "start": config.out / STARTS / str(name.seed) / SEGMENTER if s.start_steps else None,
        "synthetic": None if name.recipe == REAL else pairs,
        "synthetic_share": name.ratio / (100 + name.ratio),
        "name": str(name),
    }
    return whole.model_copy(update=own)


def _mix(config: StudyConfig, name: CellName, out: Path) -> None:
    """Draw the pairs of a cell from its pool: as many as its ratio says, by its seed."""
    facts = read_json(config.out / DATA / DATA_FACTS)
    wanted = round(facts["patches"] * name.ratio / 100)
    pool = config.out / POOLS / name.recipe / SMALL
    stems = sorted(path.stem for path in (pool / TILES).glob("*.png"))
    if not stems:
        raise StudyError(f"{pool} holds no pair; loosen the selection or generate more.")
    rng = np.random.default_rng([name.seed, 3])
    # A pool may hold fewer pairs than the ratio asks for: the share of every batch is kept.
    drawn = rng.permutation(len(stems))[:wanted]
    for kind in (TILES, LABELS):
        (out / kind).mkdir(parents=True, exist_ok=True)
        for i in drawn:
            link(pool / kind / f"{stems[i]}.png", out / kind / f"{stems[i]}.png")
