"""What ``filter_false_positives.py`` does: teach a filter, and apply one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.command_line import exit_code, new_parser, say
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.metrics import FIGURES, Confusion
from napari_histoaug.models import ObjectClassifierConfig
from napari_histoaug.models.checkpoints import write_json
from napari_histoaug.patches.jobs import SlideJob, list_slides
from napari_histoaug.segmentation.compare import compare, open_pair
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.false_positives import (
    Effect,
    Examples,
    filter_prediction,
    load_filter,
    save_filter,
    teach,
)
from napari_histoaug.segmentation.object_crops import LARGEST, crops
from napari_histoaug.segmentation.prediction_store import PredictionStore
from napari_histoaug.slides import open_slide

Say = Callable[[str], None]


class FilterTraining(BaseModel):
    """``filter_false_positives.py teach``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Path = Field(description="validation slides with annotations; docs/patches.md")
    predictions: Path = Field(description="what predict_slides.py wrote for them")
    out: Path = Field(description="folder of the filter")
    complete: bool = Field(False, description="what is not outlined is background")
    least_iou: float = Field(0.1, gt=0, le=1, description="from which overlap an object is real")
    model: ObjectClassifierConfig = ObjectClassifierConfig()
    steps: int = Field(500, ge=1)
    batch: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = 0


class FilterApplication(BaseModel):
    """``filter_false_positives.py apply``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Path = Field(description="folder of slides, or CSV of them; docs/patches.md")
    predictions: Path = Field(description="what predict_slides.py wrote for them")
    filter: Path = Field(description="folder of the filter")
    out: Path = Field(description="folder of the filtered predictions")


def filter_false_positives(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/filter_false_positives.py``; returns the exit code."""
    kinds: dict[str, tuple[type[Any], Callable[[Any, Say], int]]] = {
        "teach": (FilterTraining, teach_filter),
        "apply": (FilterApplication, apply_filter),
    }
    parser = new_parser("Teach or apply a filter for false positives.", "steps=1000", kinds)
    given = parser.parse_args(arguments)
    kind, run = kinds[given.kind]

    def whole() -> int:
        return run(load_config(kind, given.config, given.overrides), say)

    return exit_code(whole, "Stopped; nothing half was written.")


def teach_filter(config: FilterTraining, say: Say) -> int:
    """Teach a filter on the objects of validation slides and say what it does to held-out ones."""
    torch.manual_seed(config.seed)
    examples, classes = gather(config, say)
    shape = config.model.model_copy(update={"classes": classes})
    model, effect = teach(
        examples, shape, steps=config.steps, batch=config.batch,
        learning_rate=config.learning_rate, seed=config.seed, say=say,
    )  # fmt: skip
    save_filter(config.out, model)
    write_json(config.out / "effect.json", asdict(effect))
    say(f"objects of held-out patients, threshold {model.config.threshold:.3f}")
    for line in effect_lines(effect):
        say(line)
    say(f"written: {config.out}")
    return 0


def apply_filter(config: FilterApplication, say: Say) -> int:
    """Filter the predictions of many slides; 1 when one could not be."""
    model, sha256 = load_filter(config.filter)
    config.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for job in list_slides(config.slides):
        target = config.out / f"{job.source}.zarr"
        if target.exists():
            continue
        try:
            store = PredictionStore.open(config.predictions / target.name)
            with open_slide(job.path, mpp=job.mpp) as slide:
                counts = filter_prediction(model, sha256, slide, store, target)
        except (HistoaugError, OSError) as error:
            failed += 1
            say(f"{job.path.name}: {error}")
            continue
        kept = ", ".join(f"{name} {b} -> {a} objects" for name, (b, a) in counts.items())
        say(f"{job.path.name}: {kept}")
    say(f"written: {config.out}")
    return int(failed > 0)


def effect_lines(effect: Effect) -> list[str]:
    """Before and after, for people."""
    return [
        f"{name:<7} TP {c.tp}, FP {c.fp}, FN {c.fn}; {_figures(c)}"
        for name, c in (("before", effect.before), ("after", effect.after))
    ]


def gather(config: FilterTraining, say: Say) -> tuple[Examples, tuple[str, ...]]:
    """Cut out every object that was found on the validation slides.

    Raises
    ------
    SegmentationError
        When a slide has no annotations, or nothing was found anywhere.
    """
    pictures: list[torch.Tensor] = []
    real: list[bool] = []
    patients: list[str] = []
    missed: dict[str, int] = {}
    classes: tuple[str, ...] = ()
    for job in list_slides(config.slides):
        found, right, lost, classes = _of_slide(job, config)
        pictures += found
        real += right
        patient = job.patient_group or job.source
        patients += [patient] * len(right)
        missed[patient] = missed.get(patient, 0) + lost
        true = sum(right)
        say(f"{job.path.name}: {true} true and {len(right) - true} false objects")
    if not pictures:
        raise SegmentationError("Nothing was found on the validation slides; there is no error.")
    return Examples(torch.stack(pictures), np.array(real), patients, missed), classes


def _of_slide(
    job: SlideJob, config: FilterTraining
) -> tuple[list[torch.Tensor], list[bool], int, tuple[str, ...]]:
    if job.annotations is None:
        raise SegmentationError(
            f"{job.path.name} has no annotations beside it; give them in the list, or leave it out."
        )
    path = config.predictions / f"{job.source}.zarr"
    store = PredictionStore.open(path)
    pictures: list[torch.Tensor] = []
    real: list[bool] = []
    lost = 0
    with open_slide(job.path, mpp=job.mpp) as slide:
        pair = open_pair(
            job.annotations, path, complete=config.complete, slide=slide, frame=job.frame
        )
        errors = compare(pair, least_iou=config.least_iou).objects
        for value, name in enumerate(pair.classes, 1):
            lost += len(errors[name].missed)
            for kind, right in ((errors[name].matched, True), (errors[name].invented, False)):
                small = [each for each in kind if max(each.box[2:]) <= LARGEST]
                pictures += crops(slide, store, value, small, config.model.side)
                real += [right] * len(small)
    return pictures, real, lost, pair.classes


def _figures(counts: Confusion) -> str:
    values = ((name, getattr(counts, name)) for name in FIGURES)
    return ", ".join(f"{n} {'undefined' if v is None else f'{v:.3f}'}" for n, v in values)
