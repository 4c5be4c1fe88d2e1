"""What a study's segmenter sees in fields, on the grid of its own pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.learning.tissue import read_field
from napari_histoaug.models.checkpoints import read_json
from napari_histoaug.models.segmentation_networks import SegmentationNetwork
from napari_histoaug.models.segmenter_folder import load_segmenter_parts
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.preparing import (
    DATA,
    LABELS,
    SPLITS,
    TILES,
    Places,
    coarsened,
    field_of,
    save_pair,
)
from napari_histoaug.study.stages import fill, key_of

FIELDS = "fields"
SHADES = 4095  # steps of a stored probability; a network that is sure crowds them near 1

Pixels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Shades = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Field:
    """A field as it was judged, in the segmenter's pixels.

    Attributes
    ----------
    name : str
    image : uint8, (H, W, 3)
    probability : uint16, (H, W)
        In steps of :data:`SHADES`.
    truth, known : bool, (H, W)
        `known` is False where annotators disputed; nothing counts there.
    """

    name: str
    image: Pixels
    probability: Shades
    truth: Bool
    known: Bool

    def found(self, threshold: float) -> Bool:
        """Where the network sees a vessel and something is known."""
        return (self.probability >= shade(threshold)) & self.known


def shade(threshold: float) -> int:
    """The least stored probability that counts; 0 takes everything, 1 what is certain."""
    return int(np.ceil(threshold * SHADES - 1e-9))


def shrink_fields(config: StudyConfig, split: str) -> Path:
    """Keep the fields of a split at the segmenter's pixel size; returns their folder."""
    names = read_json(config.out / SPLITS)[split]
    place = config.out / FIELDS / split
    inputs = {"data": key_of(config.out / DATA), "coarse": config.segmenter.coarse, "split": split}
    labels = Places(config.out / DATA).labels

    def make(part: Path) -> int:
        for stem in names:
            pair = read_field(field_of(config.tissue, stem), labels)
            save_pair(part, stem, *coarsened(*pair, config.segmenter.coarse))
        return len(names)

    fill(place, inputs, make, "cpu")
    return place


def predicted(
    config: StudyConfig, segmenter: Path, split: str, only: str | None = None
) -> Iterator[Field]:
    """Judge every field of a split, or one of them, with a segmenter."""
    network = load_segmenter_parts(segmenter).unet.eval()
    place = shrink_fields(config, split)
    for path in sorted((place / TILES).glob("*.png")):
        if only in (None, path.stem):
            image, labels = read_field(path, place / LABELS)
            found = probabilities(network, image)
            yield Field(path.stem, image, found, labels == 1, labels != IGNORED)


def probabilities(network: SegmentationNetwork, image: Pixels) -> Shades:
    """Probability of a vessel, in steps of :data:`SHADES`.

    Parameters
    ----------
    network : SegmentationNetwork
    image : uint8, (H, W, 3)

    Returns
    -------
    uint16, (H, W)
    """
    height, width = image.shape[:2]
    stride = network.stride
    padded = np.pad(image, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        logits = network(x.contiguous(memory_format=torch.channels_last))
    y = logits[0, 0, :height, :width].float().sigmoid().numpy()
    return np.rint(y * SHADES).astype(np.uint16)
