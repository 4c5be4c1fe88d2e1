"""The false-positive filter of a cell: taught on what its segmenter found on validation fields."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from napari_histoaug.learning.tissue import case_of
from napari_histoaug.metrics.objects import label_objects
from napari_histoaug.models import ObjectClassifier
from napari_histoaug.segmentation.errors import SegmentationError
from napari_histoaug.segmentation.false_positives import (
    Examples,
    classify,
    load_filter,
    save_filter,
    teach,
)
from napari_histoaug.segmentation.object_crops import AROUND
from napari_histoaug.study.config import FilterConfig

LEAST_IOU = 0.1  # from which overlap with the truth an object is right
BATCH = 32

Pixels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Numbered = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Finding:
    """What was found in a field.

    Attributes
    ----------
    name : str
    truth, found : bool, (H, W)
    numbered : int32, (H, W)
        The found objects, from 1.
    judged : int64, (n,)
        Numbers of the objects that are large enough to be judged.
    crops : float32 Tensor (n, 4, side, side)
        Each of them with the tissue around.
    real : bool, (n,)
        Which of them overlap a vessel.
    missed : int
        Vessels that no object overlaps.
    """

    name: str
    truth: Bool
    found: Bool
    numbered: Numbered
    judged: npt.NDArray[np.int64]
    crops: Tensor
    real: Bool
    missed: int

    @property
    def case(self) -> str:
        """Whose tissue it is."""
        return case_of(Path(self.name))


def found_in(name: str, image: Pixels, found: Bool, truth: Bool, config: FilterConfig) -> Finding:
    """Cut out the objects of a field."""
    numbered, truths = label_objects(found), label_objects(truth)
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    judged = np.flatnonzero(areas >= config.least_area)
    boxes = ndimage.find_objects(numbered)
    side = config.model.side
    crops = [object_crop(image, numbered, int(n), boxes[n - 1], side) for n in judged]
    best = best_overlaps(numbered, truths)
    return Finding(
        name,
        truth,
        found,
        numbered,
        judged,
        torch.stack(crops) if crops else torch.zeros(0, 4, side, side),
        best[judged] >= LEAST_IOU,
        int(truths.max()) - int(np.count_nonzero(np.bincount(truths[found])[1:])),
    )


def object_crop(
    image: Pixels, numbered: Numbered, number: int, box: tuple[slice, slice], side: int
) -> Tensor:
    """A float32 (4, side, side) picture of an object: RGB in [-1, 1], and its mask."""
    spans = [(s.start + s.stop) // 2 for s in box]
    reach = max(side, *(int(np.ceil(AROUND * (s.stop - s.start))) for s in box))
    index = [
        np.clip(np.arange(c - reach // 2, c - reach // 2 + reach), 0, n - 1)
        for c, n in zip(spans, numbered.shape, strict=True)
    ]
    tissue = image[np.ix_(*index)]
    shown = (numbered[np.ix_(*index)] == number).astype(np.uint8) * 255
    if reach != side:
        tissue, shown = (
            np.asarray(Image.fromarray(a).resize((side, side), Image.Resampling.BOX))
            for a in (tissue, shown)
        )
    joined = np.concatenate([tissue.astype(np.float32) / 127.5 - 1, shown[..., None] / 255], 2)
    return torch.from_numpy(np.moveaxis(joined, 2, 0).astype(np.float32))


def best_overlaps(numbered: Numbered, truths: Numbered) -> npt.NDArray[np.float64]:
    """Largest intersection over union of each object (from 0, the background) with a true one."""
    columns = int(truths.max()) + 1
    pairs = numbered.ravel().astype(np.int64) * columns + truths.ravel()
    both = np.bincount(pairs, minlength=(int(numbered.max()) + 1) * columns).reshape(-1, columns)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    iou = both / np.maximum(union, 1)
    return np.asarray(iou[:, 1:].max(1, initial=0.0), np.float64)


def keep_filter(folder: Path, findings: Sequence[Finding], config: FilterConfig, seed: int) -> None:
    """Teach a filter on all that was found on validation fields, and write it."""
    shutil.rmtree(folder, ignore_errors=True)
    model = _taught(findings, config, seed)
    if model is not None:
        save_filter(folder, model)


def cross_filtered(findings: Sequence[Finding], config: FilterConfig, seed: int) -> dict[str, Bool]:
    """Filter each case with what the other cases taught, so that no figure flatters."""
    kept: dict[str, Bool] = {}
    for case in sorted({f.case for f in findings}):
        model = _taught([f for f in findings if f.case != case], config, seed)
        kept |= {f.name: _kept(model, f) for f in findings if f.case == case}
    return kept


def filtered_by(folder: Path, findings: Sequence[Finding]) -> dict[str, Bool]:
    """What a written filter leaves of each field, bool (H, W); everything where there is none."""
    model = load_filter(folder)[0] if folder.exists() else None
    return {f.name: _kept(model, f) for f in findings}


def _kept(model: ObjectClassifier | None, finding: Finding) -> Bool:
    if model is None:
        return finding.found
    dropped = finding.judged[classify(model, finding.crops) < model.config.threshold]
    return finding.found & ~np.isin(finding.numbered, dropped)


def _taught(
    findings: Sequence[Finding], config: FilterConfig, seed: int
) -> ObjectClassifier | None:
    """A filter, its threshold chosen on fields that did not teach; None with too few objects."""
    examples = Examples(
        torch.cat([f.crops for f in findings]),
        np.concatenate([f.real for f in findings]),
        [f.name for f in findings for _ in f.judged],
        {f.name: f.missed for f in findings},
    )
    try:
        model, _ = teach(examples, config.model, steps=config.steps, batch=BATCH, seed=seed)
    except SegmentationError:
        return None
    return model
