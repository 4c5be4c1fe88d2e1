"""Teaching the segmentation U-Net: real and synthetic crops mixed, pixels weighed.

Label maps may say more than a class: 255 is "nobody knows" and counts nowhere; 128 added to a value
marks the feathered rim of a generated vessel, which counts less.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_histoaug.learning.augmentation import turn_and_scale, vary_stain
from napari_histoaug.learning.batches import Batch, Examples
from napari_histoaug.learning.pictures import grid
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.segmentation_losses import cross_entropy, dice_loss
from napari_histoaug.learning.task import StepLoss, Task
from napari_histoaug.learning.tissue import RIM, Tissue, TissueError
from napari_histoaug.metrics import Confusion
from napari_histoaug.models import SegmentationUNet

IGNORED = 255
BINS = 256
SAMPLES = 4
BEST = "best.safetensors"

Labels = npt.NDArray[np.uint8]


def said(labels: Labels, rim_weight: float) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Split a label map into classes and weights.

    Parameters
    ----------
    labels : uint8, any shape
    rim_weight : float
        Weight of pixels marked as rim.

    Returns
    -------
    classes : uint8, as `labels`
        0 background, else 1 + class index.
    weight : float32, as `labels`
        0 where nobody knows.
    """
    known = labels != IGNORED
    rim = known & (labels >= RIM)
    classes = np.where(known, labels & (RIM - 1), 0).astype(np.uint8)
    weight = np.where(rim, rim_weight, 1) * known
    return classes, weight.astype(np.float32)


def check_labels(tissue: Tissue, classes: int) -> None:
    """See that a tissue's label maps hold known values only.

    Raises
    ------
    TissueError
        When they do not.
    """
    largest = int(said(tissue.facts.values, 1.0)[0].max())
    if largest > classes:
        raise TissueError(
            f"The label maps hold the value {largest}, but data.classes names {classes}; name them "
            "all, in that order."
        )


class SegmentationTask(Task):
    """Cross-entropy and Dice of random crops.

    Parameters
    ----------
    config : SegmentationTraining
    train, held_out : Tissue
        Pixels.
    synthetic : Tissue, optional
        Generated pairs, mixed in at the configured share of every batch.

    Attributes
    ----------
    thresholds : list of float
        A class: from which probability a pixel counts, tuned by the last validation.
    """

    def __init__(
        self,
        config: SegmentationTraining,
        train: Tissue,
        held_out: Tissue,
        synthetic: Tissue | None = None,
    ) -> None:
        super().__init__()
        self.config, self.train, self.held_out, self.synthetic = config, train, held_out, synthetic
        self.classes = len(config.data.classes)
        self.thresholds = [0.5] * self.classes
        self.memory = {"best": torch.zeros(1), "stale": torch.zeros(1, dtype=torch.int64)}

    @property
    def stale(self) -> bool:
        """Whether the held-out Dice has not risen for so long that training may end."""
        patience = self.config.patience
        return patience is not None and int(self.memory["stale"]) >= patience

    def batch(self, examples: Examples) -> Batch:
        """Cut a batch.

        Returns
        -------
        dict
            "image" float32 (B, 3, H, W) in [-1, 1], "target" float32 (B, classes, H, W),
            "weight" float32 (B, 1, H, W).
        """
        pairs = zip(examples.generators(), examples.strata(), strict=True)
        parts = [self._example(rng, int(s) / examples.total) for rng, s in pairs]
        return {name: torch.from_numpy(np.stack([p[name] for p in parts])) for name in parts[0]}

    def _example(
        self, rng: np.random.Generator, stratum: float
    ) -> dict[str, npt.NDArray[np.float32]]:
        c = self.config
        # A fixed share of every batch: the strata are the same for each, in another order.
        mixed = self.synthetic is not None and stratum < c.synthetic_share
        tissue = self.synthetic if mixed and self.synthetic is not None else self.train
        size = c.data.crop
        scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(c.vary.scale)))
        angle = float(rng.uniform(-np.pi, np.pi)) if c.vary.turn else 0.0
        wide = _around(size, scale, angle) if c.vary.turn or c.vary.scale else size
        wide = min(wide, tissue.facts.smallest)
        state, labels = tissue.cut(rng, wide)
        image = np.rint((np.moveaxis(state, 0, 2) + 1) * 127.5).astype(np.uint8)
        if c.vary.turn or c.vary.scale:
            image, labels = turn_and_scale(image, labels, size, angle, scale, IGNORED)
        return self._tensors(vary_stain(image, rng, c.vary.stain), labels)

    def _tensors(
        self, image: npt.NDArray[np.uint8], labels: Labels
    ) -> dict[str, npt.NDArray[np.float32]]:
        classes, weight = said(labels, self.config.rim_weight)
        values = np.arange(1, self.classes + 1, dtype=np.uint8)[:, None, None]
        return {
            "image": np.moveaxis(image, 2, 0).astype(np.float32) / 127.5 - 1,
            "target": (classes[None] == values).astype(np.float32),
            "weight": weight[None],
        }

    def loss(self, model: nn.Module, batch: Batch, step: int) -> StepLoss:
        """Weighted sum of cross-entropy and Dice loss."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        logits = model(image).float()
        entropy = cross_entropy(logits, batch["target"], batch["weight"])
        dice = dice_loss(logits, batch["target"], batch["weight"])
        c = self.config
        total = c.entropy_weight * entropy + c.dice_weight * dice
        return StepLoss(total, {"cross_entropy": entropy.detach(), "dice_loss": dice.detach()})

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Dice, precision and recall on all held-out tissue at the best threshold, class means.

        The thresholds and the best network so far are kept; see :meth:`stale`.
        """
        positive, negative = self._histograms(model)
        best = [best_threshold(p, n) for p, n in zip(positive, negative, strict=True)]
        self.thresholds = [threshold for threshold, _ in best]
        figures = {}
        for name in ("dice", "precision", "recall"):
            values = [getattr(counts, name) or 0.0 for _, counts in best]
            figures[f"held_out_{name}"] = float(np.mean(values))
        self._remember(model, figures["held_out_dice"])
        return figures

    def _remember(self, model: nn.Module, dice: float) -> None:
        if dice > float(self.memory["best"]):
            self.memory["best"].fill_(dice)
            self.memory["stale"].zero_()
            tensors = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
            tensors["thresholds"] = torch.tensor(self.thresholds)
            save_file(tensors, self.config.loop.out / f"{BEST}.part")
            (self.config.loop.out / f"{BEST}.part").replace(self.config.loop.out / BEST)
        else:
            self.memory["stale"] += 1

    def _histograms(self, model: nn.Module) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How many true and untrue pixels of each class got which probability."""
        found = np.zeros((2, self.classes, BINS), np.int64)
        for image, classes, known in self._pieces():
            device = next(model.parameters()).device
            probability = model(image.to(device)).float().sigmoid()[0].cpu().numpy()
            bins = np.minimum(probability * BINS, BINS - 1).astype(np.int64)
            for index in range(self.classes):
                true = classes == index + 1
                found[0, index] += np.bincount(bins[index][true & known], minlength=BINS)
                found[1, index] += np.bincount(bins[index][~true & known], minlength=BINS)
        return found[0], found[1]

    def _pieces(self) -> Iterator[tuple[Tensor, Labels, npt.NDArray[np.bool_]]]:
        smallest = self.held_out.facts.smallest
        size = min(self.config.validation_crop, smallest - smallest % SegmentationUNet.stride)
        for region in self.held_out.regions:
            height, width = region.labels.shape
            for y in range(0, height - size + 1, size):
                for x in range(0, width - size + 1, size):
                    part = np.ascontiguousarray(region.state[y : y + size, x : x + size])
                    labels = region.labels[y : y + size, x : x + size]
                    image = torch.from_numpy(part).permute(2, 0, 1)[None].float() / 127.5 - 1
                    classes, weight = said(labels, 1.0)
                    yield image.contiguous(memory_format=torch.channels_last), classes, weight > 0

    def samples(self, model: nn.Module) -> npt.NDArray[np.uint8]:
        """Held-out tissue, its first class, and the probability of that class."""
        rows: list[list[Tensor]] = [[], [], []]
        for number, (image, classes, _) in enumerate(self._pieces()):
            if number == SAMPLES:
                break
            shown = model(image.to(next(model.parameters()).device)).float().sigmoid()[:1, :1].cpu()
            truth = torch.from_numpy((classes == 1).astype(np.float32))[None, None]
            rows[0].append(image)
            rows[1].append((truth * 2 - 1).expand(1, 3, -1, -1))
            rows[2].append((shown * 2 - 1).expand(1, 3, -1, -1))
        return grid([torch.cat(row) for row in rows])


def best_threshold(
    positive: npt.NDArray[np.int64], negative: npt.NDArray[np.int64]
) -> tuple[float, Confusion]:
    """The probability from which calling a pixel positive gives the highest Dice.

    Parameters
    ----------
    positive, negative : int64, (bins,)
        How many true and untrue pixels got a probability in each of the equal bins.

    Returns
    -------
    threshold : float
        Strictly between 0 and 1.
    counts : Confusion
        At that threshold.
    """
    tp = positive[::-1].cumsum()[::-1]
    fp = negative[::-1].cumsum()[::-1]
    fn = positive.sum() - tp
    dice = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    at = int(dice[1:].argmax()) + 1
    return at / len(positive), Confusion(int(tp[at]), int(fp[at]), int(fn[at]))


def _around(size: int, scale: float, angle: float) -> int:
    """Side of the square that holds everything a turned and scaled one shows."""
    reach = abs(np.cos(angle)) + abs(np.sin(angle))
    return int(np.ceil(size * reach / scale)) + 2


def load_best(folder: Path, model: nn.Module) -> list[float] | None:
    """Put the best network of a run into `model`; return its thresholds, None without one."""
    from napari_histoaug.models.checkpoints import load_tensors

    path = folder / BEST
    if not path.exists():
        return None
    tensors = load_tensors(path)
    thresholds = [float(t) for t in tensors.pop("thresholds")]
    model.load_state_dict(tensors)
    return thresholds
