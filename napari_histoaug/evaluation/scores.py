"""The figures of a generator, each with the interval that resampling the holes leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from napari_histoaug.evaluation.held_out import HeldOutHole
from napari_histoaug.metrics import kernel_distance, nearest, seam_score, sharpness_ratio
from napari_histoaug.metrics.extractors import Extractor

Image = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
Compare = Callable[[Image, Image], npt.NDArray[np.float64]]
"""A distance (N,) of pictures (N, H, W, 3) to their partners, such as an LPIPS."""

NATURAL = (0.7, 1.4)  # sharpness of tissue against tissue


@dataclass(frozen=True)
class Range:
    """A figure with a low and a high end: a bootstrap interval, or the quartiles of the holes.

    The ends are None where there are too few holes to say.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FillScore:
    """How one way of filling did.

    Attributes
    ----------
    holes : int
    kid : Range
        Kernel distance of hole crops to those of the real vessels, 95 % bootstrap interval.
    sharpness : Range
        Hole against ring, median and quartiles.
    naturally_sharp : float
        Share of holes within :data:`NATURAL`.
    edge, colour : Range
        Of :class:`~napari_histoaug.metrics.Seam`, median and quartiles.
    lpips : Range, optional
        Of hole crops and the real vessel of the same hole, median and quartiles.
    """

    holes: int
    kid: Range
    sharpness: Range
    naturally_sharp: float
    edge: Range
    colour: Range
    lpips: Range | None = None


def score_fill(
    items: Sequence[HeldOutHole],
    images: Sequence[Image],
    real: Features,
    extractor: Extractor,
    lpips: Compare | None = None,
    *,
    draws: int = 200,
    seed: int = 0,
) -> FillScore:
    """Compare filled holes with the vessels that really were there.

    Parameters
    ----------
    items : sequence of HeldOutHole
    images : sequence of uint8 (H, W, 3)
        The filled windows, one for each of the first items.
    real : float, (N, D)
        Features of the real hole crops of all items.
    extractor : Extractor
        Never the network used as a training loss.
    lpips : callable, optional
        Its network is not that of a training loss either.
    """
    items = items[: len(images)]
    features = crop_features(items, images, extractor)
    sharp = [sharpness_ratio(i, item.hole) for i, item in zip(images, items, strict=True)]
    seams = [seam_score(i, item.hole) for i, item in zip(images, items, strict=True)]
    sharp_known = np.array([s for s in sharp if s is not None])
    return FillScore(
        holes=len(items),
        kid=kernel_interval(real, features, draws=draws, seed=seed),
        sharpness=quartiles(sharp_known),
        naturally_sharp=float(np.mean((sharp_known >= NATURAL[0]) & (sharp_known <= NATURAL[1]))),
        edge=quartiles(np.array([s.edge for s in seams if s is not None])),
        colour=quartiles(np.array([s.colour for s in seams if s is not None])),
        lpips=None if lpips is None else quartiles(lpips(*_crops(items, images))),
    )


def _crops(items: Sequence[HeldOutHole], images: Sequence[Image]) -> tuple[Image, Image]:
    """Hole crops (N, CROP, CROP, 3) of what really is there, and of filled windows."""
    real = np.stack([item.crop(item.image) for item in items])
    return real, np.stack([item.crop(image) for item, image in zip(items, images, strict=True)])


def crop_features(
    items: Sequence[HeldOutHole], images: Sequence[Image], extractor: Extractor
) -> Features:
    """Features (N, D) of the hole crops of filled windows."""
    return extractor(np.stack([item.crop(i) for item, i in zip(items, images, strict=True)]))


def kernel_interval(real: Features, made: Features, *, draws: int, seed: int) -> Range:
    """Kernel distance with its 95 % bootstrap interval; both sets are resampled.

    A resample holds rows twice, whose kernel with themselves counts as a neighbour's; the interval
    is therefore taken around the distance of subsets without repetition, half of each set.
    """
    rng = np.random.default_rng(seed)
    value = kernel_distance(real, made)
    n, m = len(real) // 2, len(made) // 2
    if min(n, m) < 2:
        return Range(value, None, None)
    found = [
        kernel_distance(
            real[rng.choice(len(real), n, replace=False)],
            made[rng.choice(len(made), m, replace=False)],
        )
        for _ in range(draws)
    ]
    return _around(value, found)


def kernel_difference(
    real: Features, first: Features, second: Features, *, draws: int = 200, seed: int = 0
) -> Range:
    """How much larger the kernel distance of `first` is than that of `second`, on the same holes.

    The 95 % interval is paired: every resample holds the same real vessels and the same holes of
    both, so that what makes a set of holes easy or hard falls out.

    Parameters
    ----------
    real : float, (N, D)
    first, second : float, (M, D)
        Row i of both is of hole i.
    """
    rng = np.random.default_rng(seed)
    value = kernel_distance(real, first) - kernel_distance(real, second)
    n, m = len(real) // 2, len(first) // 2
    if min(n, m) < 2:
        return Range(value, None, None)
    found = []
    for _ in range(draws):
        rows, holes = (rng.choice(2 * k, k, replace=False) for k in (n, m))
        found.append(
            kernel_distance(real[rows], first[holes]) - kernel_distance(real[rows], second[holes])
        )
    return _around(value, found)


def _around(value: float, of_halves: Sequence[float]) -> Range:
    """A figure with the 95 % interval that those of halves of its sets give.

    Half of a set without repetition varies as the whole set does (delete-half jackknife).
    """
    low, high = np.percentile(np.array(of_halves) - np.mean(of_halves), [2.5, 97.5])
    return Range(value, float(value + low), float(value + high))


def quartiles(values: npt.NDArray[np.floating]) -> Range:
    """Median with the first and third quartile."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Range(float(middle), float(low), float(high))


@dataclass(frozen=True)
class Copying:
    """How near generated vessels come to training ones, beside how near real held-out ones come.

    Attributes
    ----------
    generated, real : Range
        Distance to the nearest training crop, median and quartiles.
    nearest_ratio : float
        Smallest generated distance over smallest real one; far below 1 would be a copy.
    """

    generated: Range
    real: Range
    nearest_ratio: float


def copying(taught: Features, made: Features, real: Features) -> Copying:
    """Compare distances to the nearest training crop; all are features (N, D)."""
    ours, theirs = nearest(made, taught), nearest(real, taught)
    return Copying(quartiles(ours), quartiles(theirs), float(ours.min() / max(theirs.min(), 1e-12)))


def diversity(by_seed: Sequence[Features], real: Features) -> float:
    """Mean distance of one hole's fillings, over the mean distance of two real vessels.

    Parameters
    ----------
    by_seed : sequence of float (N, D)
        Features of the same holes filled with different seeds.
    real : float, (M, D)
    """
    stack = np.stack(by_seed).astype(np.float64)
    pairs = [
        np.linalg.norm(stack[i] - stack[j], axis=1)
        for i in range(len(stack))
        for j in range(i + 1, len(stack))
    ]
    between = np.linalg.norm(real[:, None].astype(np.float64) - real[None], axis=2)
    upper = between[np.triu_indices(len(real), 1)]
    return float(np.mean(pairs) / upper.mean())


def as_table(scores: Mapping[str, FillScore]) -> dict[str, dict[str, object]]:
    """Scores as plain values, for JSON."""
    return {name: asdict(score) for name, score in scores.items()}
