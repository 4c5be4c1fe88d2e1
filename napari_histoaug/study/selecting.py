"""The study's use of the selection room: which pairs of a pool are kept, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.learning.tissue import RIM, find_fields, read_field
from napari_histoaug.masks import dilate
from napari_histoaug.models.segmentation_networks import SegmentationNetwork
from napari_histoaug.models.segmenter_folder import load_segmenter_parts
from napari_histoaug.selection import (
    SelectionConfig,
    agreement,
    hole_crop,
    made_region,
    nearest_likeness,
    realism,
    share_left,
)
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.predicting import probabilities, shade
from napari_histoaug.study.preparing import DATA, TILES, Places, coarsened
from napari_histoaug.study.teaching import CELLS, SEGMENTER

if TYPE_CHECKING:
    from napari_histoaug.study.pooling import MadePair

REMOVED = "removed"
CROP = 32  # px, least side of a crop of a hole
LEAST_AREA = 64  # px; smaller real vessels are not compared with
BEYOND = 8.0  # px around a real vessel that its generated like would have had remade

Pixels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdicts:
    """What the three checks say of each pair, in the order of the pairs.

    Attributes
    ----------
    agreement : float64, (n,)
        Dice with the painted mask; for removals one minus what is still found.
    realism, likeness : float64, (n,)
    config : SelectionConfig
    removed : bool, (n,)
    """

    agreement: Float
    realism: Float
    likeness: Float
    removed: npt.NDArray[np.bool_]
    config: SelectionConfig

    reasons = ("another mask is seen in it", "it does not look real", "it is a copy")

    def row(self, index: int) -> dict[str, Any]:
        """For the manifest."""
        names = ("agreement", "realism", "likeness")
        return {name: round(float(getattr(self, name)[index]), 4) for name in names}

    def reason(self, index: int) -> str | None:
        """Why a pair is dropped; None when it is kept."""
        c = self.config
        least = 1 - c.most_left if self.removed[index] else c.least_agreement
        failed = (
            self.agreement[index] < least,
            self.realism[index] < c.least_realism,
            self.likeness[index] > c.most_alike,
        )
        return next((r for r, f in zip(self.reasons, failed, strict=True) if f), None)


def judge_pairs(config: StudyConfig, pairs: Sequence[MadePair], judge: str) -> Verdicts:
    """Run the three checks.

    Parameters
    ----------
    pairs : sequence of MadePair
    judge : str
        The cell whose segmenter knows real tissue only.
    """
    parts = load_segmenter_parts(config.out / CELLS / judge / SEGMENTER)
    network, threshold = parts.unet.eval(), parts.index.thresholds[0]
    removed = np.array([pair.kind == REMOVED for pair in pairs], bool)
    agreed, crops = np.zeros(len(pairs)), []
    for index, pair in enumerate(pairs):
        image, labels = pair.read()
        agreed[index] = _agreed(config, network, threshold, image, labels, removed[index])
        crops.append(_small_crop(config, image, made_region(labels)))
    real = {kind: np.stack(list(_real_crops(config, removal=kind))) for kind in (False, True)}
    made, real_looking = np.stack(crops), np.zeros(len(pairs))
    for kind in (False, True):
        some = removed == kind
        if some.sum() > 1:
            real_looking[some] = realism(
                made[some], real[kind], steps=config.selection.steps, seed=config.selection.seed
            )
    likeness = nearest_likeness(made, real[False]).astype(np.float64)
    likeness[removed] = -1
    return Verdicts(agreed, real_looking, likeness, removed, config.selection)


def _agreed(
    config: StudyConfig,
    network: SegmentationNetwork,
    threshold: float,
    image: Pixels,
    labels: Pixels,
    removed: bool,
) -> float:
    small, said = coarsened(image, labels, config.segmenter.coarse)
    found = probabilities(network, small) >= shade(threshold)
    return 1 - share_left(found, said) if removed else agreement(found, said)


def _small_crop(config: StudyConfig, image: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
    """A crop of a hole at the pixel size of the segmenter: what it cannot see is no flaw."""
    factor = config.segmenter.coarse
    small, labels = coarsened(image, hole.astype(np.uint8), factor)
    if not labels.any():
        labels[labels.shape[0] // 2, labels.shape[1] // 2] = 1
    return hole_crop(small, labels > 0, max(CROP, config.tissue.patch // factor // 2))


def _real_crops(config: StudyConfig, *, removal: bool) -> Iterator[Pixels]:
    """Crops of real vessels of the source's fields or, to judge removals, of tissue without."""
    places, size = Places(config.out / DATA), config.tissue.patch
    rng = np.random.default_rng(config.selection.seed)
    for path in find_fields(places.source / TILES, config.tissue_cases(places.source)):
        image, labels = read_field(path, places.labels)
        numbered, _ = ndimage.label(labels % RIM == 1, np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(numbered), start=1):
            hole = numbered == number
            if hole.sum() < LEAST_AREA:
                continue
            centre = [(s.start + s.stop) // 2 for s in box]
            if removal:
                moved = rng.integers(size // 2, [n - size // 2 for n in labels.shape])
                hole = np.roll(hole, moved - centre, (0, 1))
                centre = [int(n) for n in moved]
            y, x = (
                int(np.clip(c - size // 2, 0, n - size))
                for c, n in zip(centre, labels.shape, strict=True)
            )
            part = np.s_[y : y + size, x : x + size]
            if hole[part].any() and not (removal and labels[part][hole[part]].any()):
                yield _small_crop(config, image[part], dilate(hole[part], BEYOND))
