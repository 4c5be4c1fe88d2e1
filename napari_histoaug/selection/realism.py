"""Could a network tell a generated hole from a real one?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histoaug.models import ObjectClassifier, ObjectClassifierConfig

FOLDS = 2
BATCH = 32
RATE = 1e-3

Pixels = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]


def realism(made: Pixels, real: Pixels, *, steps: int = 200, seed: int = 0) -> Float:
    """Probability of each generated crop of being real, by a classifier not taught on it.

    Both kinds are split into two halves; the network of one half judges the other. A pair whose
    probability is near 0 shows something that no real one shows.

    Parameters
    ----------
    made : uint8, (N, side, side, 3)
    real : uint8, (M, side, side, 3)
        At least two of each; `side` is a multiple of 16.
    steps : int
        Of each network's training, on batches with as many of either kind.
    seed : int

    Returns
    -------
    float64, (N,)
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(made)) % FOLDS
    fold_real = rng.permutation(len(real)) % FOLDS
    probability = np.zeros(len(made))
    for out in range(FOLDS):
        model = _taught(made[fold != out], real[fold_real != out], steps, seed + out)
        probability[fold == out] = _judged(model, made[fold == out])
    return probability


def _taught(made: Pixels, real: Pixels, steps: int, seed: int) -> ObjectClassifier:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = ObjectClassifier(ObjectClassifierConfig(width=8, side=made.shape[1]))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    model.train()
    for _ in range(steps):
        drawn = [kind[rng.integers(len(kind), size=BATCH // 2)] for kind in (real, made)]
        pictures = _tensor(_varied(np.concatenate(drawn), rng))
        target = torch.tensor([1.0] * (BATCH // 2) + [0.0] * (BATCH // 2))
        loss = F.binary_cross_entropy_with_logits(model(pictures), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def _varied(crops: Pixels, rng: np.random.Generator) -> Pixels:
    turns, mirrored = rng.integers(4, size=len(crops)), rng.integers(2, size=len(crops))
    turned = [
        np.rot90(c, k)[:, :: 1 - 2 * m] for c, k, m in zip(crops, turns, mirrored, strict=True)
    ]
    return np.stack(turned)


def _tensor(crops: Pixels) -> Tensor:
    """Crops as the classifier wants them; its mask is empty, so that only tissue is judged."""
    pictures = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.cat([pictures, torch.zeros_like(pictures[:, :1])], 1)


def _judged(model: ObjectClassifier, crops: Pixels) -> Float:
    if not len(crops):
        return np.zeros(0)
    with torch.inference_mode():
        return np.asarray(torch.sigmoid(model(_tensor(crops))).double().numpy())
