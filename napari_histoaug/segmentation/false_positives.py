"""A filter for false positives: taught on what was right and wrong on validation slides."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histoaug.metrics import Confusion
from napari_histoaug.models import ObjectClassifier, ObjectClassifierConfig, save_network
from napari_histoaug.models.checkpoints import ModelError, load_network, network_files, sha256_of
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.object_counts import Found
from napari_histoaug.segmentation.object_crops import LARGEST, crops, found_objects, object_mask
from napari_histoaug.segmentation.prediction_store import (
    CLASSES,
    VALID,
    PredictionStore,
    blocks,
)
from napari_histoaug.slides import Slide

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
HELD_OUT = 4  # one patient in so many chooses the threshold
LEAST = 8  # objects of each kind without which nothing can be learnt
BATCH = 64


@dataclass(frozen=True)
class Examples:
    """Objects found on validation slides.

    Attributes
    ----------
    crops : float32 Tensor (N, 4, side, side)
    real : bool (N,)
        True positives.
    patients : list of str
    missed : dict of str to int
        A patient: objects of the truth that were not found, which no filter brings back.
    """

    crops: Tensor
    real: Bool
    patients: list[str]
    missed: dict[str, int]


@dataclass(frozen=True)
class Effect:
    """Objects of held-out patients before and after filtering."""

    before: Confusion
    after: Confusion


def teach(
    examples: Examples,
    config: ObjectClassifierConfig,
    *,
    steps: int = 500,
    batch: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[ObjectClassifier, Effect]:
    """Teach a classifier, and choose its threshold on patients it was not taught on.

    Returns
    -------
    ObjectClassifier
        Its config holds the threshold with the highest object Dice on the held-out patients.
    Effect
        On those patients.

    Raises
    ------
    SegmentationError
        When there are too few objects of a kind, or a single patient.
    """
    real, wrong = int(examples.real.sum()), int((~examples.real).sum())
    if min(real, wrong) < LEAST:
        raise SegmentationError(
            f"The validation slides hold {real} true and {wrong} false objects; a filter needs "
            f"{LEAST} of each, and works well from hundreds on."
        )
    held_out = _held_out(examples)
    torch.manual_seed(seed)
    model = ObjectClassifier(config)
    _fit(model, examples, ~held_out, steps, batch, learning_rate, seed, say)
    probability = classify(model, examples.crops[torch.from_numpy(held_out)])
    names = {p for p, out in zip(examples.patients, held_out, strict=True) if out}
    missed = sum(examples.missed.get(name, 0) for name in names)
    threshold, effect = best_cut(probability, examples.real[held_out], missed)
    model.config = config.model_copy(update={"threshold": threshold})
    return model.eval(), effect


def best_cut(probability: Float, real: Bool, missed: int) -> tuple[float, Effect]:
    """The probability below which dropping objects leaves the highest object Dice.

    Parameters
    ----------
    probability : float (N,)
    real : bool (N,)
    missed : int
        Objects that were never found.

    Returns
    -------
    float
        0, which drops nothing, where no cut is better.
    Effect
    """
    before = Confusion(int(real.sum()), int((~real).sum()), missed)
    best = (0.0, before)
    values = np.unique(probability)
    # Between two objects, so that rounding elsewhere moves none to the other side.
    for cut in (values[1:] + values[:-1]) / 2:
        kept = probability >= cut
        tp = int((real & kept).sum())
        after = Confusion(tp, int((~real & kept).sum()), missed + before.tp - tp)
        if (after.dice or 0) > (best[1].dice or 0):
            best = (float(cut), after)
    return best[0], Effect(before, best[1])


def classify(model: ObjectClassifier, pictures: Tensor) -> Float:
    """Probability (N,) of being real, of crops (N, 4, side, side)."""
    model.eval()
    with torch.inference_mode():
        found = [torch.sigmoid(model(part)) for part in pictures.split(BATCH)]
    return torch.cat(found).double().numpy() if found else np.zeros(0)


def filter_prediction(
    model: ObjectClassifier,
    sha256: str,
    slide: Slide,
    store: PredictionStore,
    out: Path,
    stop: Callable[[], None] = lambda: None,
) -> dict[str, tuple[int, int]]:
    """Write a prediction again without the objects that the filter takes for false.

    Parameters
    ----------
    sha256 : str
        Of the filter, for provenance.
    stop : callable
        Called before every block; may raise.

    Returns
    -------
    dict of str to (int, int)
        A class: objects before and after. Probabilities stay as they were.

    Raises
    ------
    SegmentationError
        When `out` exists, or the prediction is filtered already.
    """
    if out.exists():
        raise SegmentationError(f"{out} exists; choose another name or delete it first.")
    facts = store.facts
    if "filter_sha256" in facts:
        raise SegmentationError("This prediction was filtered before; filter the one it came from.")
    dropped: dict[int, list[Found]] = {}
    counts = {}
    for value, name in enumerate(facts["classes"], 1):
        objects = found_objects(store, value, stop)
        taught = not model.config.classes or name in model.config.classes
        dropped[value] = _false_ones(model, slide, store, value, objects) if taught else []
        counts[name] = (len(objects), len(objects) - len(dropped[value]))
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        copy = PredictionStore.create_like(part, store)
        _copy(store, copy, dropped, stop)
        copy.coarsen(stop)
        copy.finish({**facts, "filter_sha256": sha256})
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def save_filter(folder: Path, model: ObjectClassifier) -> None:
    """Write a filter's folder."""
    save_network(model, folder)


def load_filter(folder: Path) -> tuple[ObjectClassifier, str]:
    """Read a filter and the hash of its files.

    Raises
    ------
    ModelError
        When the folder holds none.
    """
    model = load_network(folder)
    if not isinstance(model, ObjectClassifier):
        raise ModelError(f"{folder} holds a {type(model).__name__}, not a false-positive filter.")
    return model, sha256_of(network_files(folder))


def _held_out(examples: Examples) -> Bool:
    names = sorted(set(examples.patients))
    if len(names) < 2:
        raise SegmentationError(
            "A filter needs validation slides of two patients or more: one teaches, another "
            "chooses the threshold."
        )
    chosen = set(names[:: max(2, min(HELD_OUT, len(names)))])
    return np.array([name in chosen for name in examples.patients])


def _fit(
    model: ObjectClassifier,
    examples: Examples,
    taught: Bool,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    say: Callable[[str], None],
) -> None:
    rng = np.random.default_rng(seed)
    kinds = [np.flatnonzero(taught & (examples.real == kind)) for kind in (True, False)]
    if not all(len(kind) for kind in kinds):
        raise SegmentationError(
            "The patients that teach have only true or only false objects; add validation slides."
        )
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for step in range(1, steps + 1):
        # As many of either kind, however rare.
        rows = np.concatenate([rng.choice(kind, batch // 2) for kind in kinds])
        pictures = _turned(examples.crops[torch.from_numpy(rows)], rng)
        target = torch.from_numpy(examples.real[rows].astype(np.float32))
        loss = F.binary_cross_entropy_with_logits(model(pictures), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            say(f"step {step}/{steps}, loss {loss.item():.3f}")


def _turned(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """The crops of a batch, each in one of its eight positions."""
    turns, flips = rng.integers(4, size=len(pictures)), rng.integers(2, size=len(pictures))
    found = [torch.rot90(p, int(t), (1, 2)) for p, t in zip(pictures, turns, strict=True)]
    return torch.stack([p.flip(2) if f else p for p, f in zip(found, flips, strict=True)])


def _false_ones(
    model: ObjectClassifier,
    slide: Slide,
    store: PredictionStore,
    value: int,
    objects: Sequence[Found],
) -> list[Found]:
    judged = [each for each in objects if max(each.box[2:]) <= LARGEST]
    found: list[Found] = []
    for start in range(0, len(judged), BATCH):
        some = judged[start : start + BATCH]
        pictures = torch.stack(list(crops(slide, store, value, some, model.config.side)))
        kept = classify(model, pictures) >= model.config.threshold
        found += [each for each, keep in zip(some, kept, strict=True) if not keep]
    return found


def _copy(
    store: PredictionStore,
    copy: PredictionStore,
    dropped: dict[int, list[Found]],
    stop: Callable[[], None],
) -> None:
    probabilities, valid = store.levels()[0], store.levels(VALID)[0]
    classes = store.levels(CLASSES)[0]
    for y, x, height, width in blocks(store.shape):
        stop()
        rows, columns = slice(y, y + height), slice(x, x + width)
        labels = np.array(classes[rows, columns], np.uint8)
        for value, objects in dropped.items():
            for found in objects:
                if _touches(found, (y, x, height, width)):
                    _erase(labels, (y, x), found, object_mask(classes, found, value))
        copy.write(
            (y, x, height, width),
            np.asarray(probabilities[:, rows, columns], np.uint8),
            labels,
            np.asarray(valid[rows, columns], np.uint8),
        )


def _touches(found: Found, box: tuple[int, int, int, int]) -> bool:
    y, x, height, width = found.box
    down = y < box[0] + box[2] and box[0] < y + height
    return down and x < box[1] + box[3] and box[1] < x + width


def _erase(
    labels: npt.NDArray[np.uint8], corner: tuple[int, int], found: Found, mask: Bool
) -> None:
    """Take the part of an object out of a block that begins at `corner`."""
    y, x = found.box[0] - corner[0], found.box[1] - corner[1]
    top, left = max(y, 0), max(x, 0)
    part = labels[top : y + mask.shape[0], left : x + mask.shape[1]]
    inside = mask[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]]
    part[inside] = 0
