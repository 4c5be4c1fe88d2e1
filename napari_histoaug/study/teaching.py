"""A cell of the study: one segmenter, taught on real patches and some share of generated ones."""

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
from napari_histoaug.models.checkpoints import read_json
from napari_histoaug.study.config import REAL, StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.preparing import DATA, DATA_FACTS, LABELS, TILES
from napari_histoaug.study.stages import fill, key_of, link

CELLS, POOLS, SMALL, SEGMENTER = "cells", "pools", "small", "segmenter"


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


def teach_cell(config: StudyConfig, name: CellName, stop: Callable[[], bool] = never) -> bool:
    """Teach a cell's segmenter; returns whether anything was done.

    Raises
    ------
    StudyError
        When the stages before have not been run, or a pool is too small.
    """
    place = config.out / CELLS / str(name)
    inputs = {
        "segmenter": config.segmenter.model_dump(mode="json", exclude={"threads"}),
        "cell": str(name),
        "real": key_of(config.out / REAL),
        "pool": None if name.recipe == REAL else key_of(config.out / POOLS / name.recipe),
    }
    return fill(place, inputs, lambda part: _teach(config, name, part, stop), "cpu")


def _teach(config: StudyConfig, name: CellName, part: Path, stop: Callable[[], bool]) -> int:
    training = training_of(config, name, part)
    if name.recipe != REAL:
        _mix(config, name, part / "pairs")
    fit_segmentation(training, stop)
    written = part / "training" / SEGMENTER
    shutil.rmtree(part / SEGMENTER, ignore_errors=True)
    written.rename(part / SEGMENTER)
    link(part / "training" / "log.jsonl", part / "history.jsonl")
    for folder in ("training", "pairs"):
        shutil.rmtree(part / folder, ignore_errors=True)
    return config.segmenter.steps * config.segmenter.batch


def training_of(config: StudyConfig, name: CellName, part: Path) -> SegmentationTraining:
    """What ``train_segmentation.py`` would be told to teach this cell."""
    s, t = config.segmenter, config.tissue
    real = config.out / REAL
    present = {case_of(path) for path in (real / TILES).iterdir()}
    generated = name.recipe != REAL
    return SegmentationTraining(
        data=DataConfig(
            tiles=real / TILES,
            labels=real / LABELS,
            train_cases=tuple(case for case in t.train_cases if case in present),
            validation_cases=t.validation_cases,
            classes=(t.label,),
            mpp=t.mpp * s.coarse,
            crop=s.crop,
        ),
        loop=LoopConfig(
            out=part / "training",
            steps=s.steps,
            batch=s.batch,
            learning_rate=s.learning_rate,
            warmup=min(50, s.steps),
            decay_to=0.05,
            ema=s.ema,
            precision=s.precision,
            threads=s.threads,
            save_minutes=1,
            # Thresholds are chosen on all validation fields afterwards.
            validate_every=10 * s.steps,
            sample_every=0,
            seed=name.seed,
        ),
        model=s.model,
        encoder_weights=s.encoder_weights,
        synthetic=SyntheticConfig(tiles=part / "pairs" / TILES, labels=part / "pairs" / LABELS)
        if generated
        else None,
        synthetic_share=name.ratio / (100 + name.ratio),
        vary=Variation(stain=s.stain, scale=0, turn=False),
        name=str(name),
        attribution=t.attribution,
    )


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
