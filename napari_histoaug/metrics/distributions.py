"""How far two sets of pictures lie apart, by their features.

Everything here takes features, (N, D) arrays of whatever network; :mod:`.extractors` makes them.
Definitions are those of torch-fidelity, so that figures can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from napari_histoaug.metrics.errors import MetricError

Features = npt.NDArray[np.floating]
Float = npt.NDArray[np.float64]
ROWS = 2048  # rows of a kernel matrix that are held at once


def frechet_distance(a: Features, b: Features) -> float:
    """Fréchet distance of the normal distributions fitted to two sets of features.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` (Heusel et al. 2017, equation 6); on the 2,048
    pooled features of Inception-v3 this is FID.

    Parameters
    ----------
    a, b : float, (N, D) and (M, D)
        At least two rows each. With fewer rows than dimensions the figure is defined but strongly
        biased upwards: compare only figures of equal N, or use :func:`kernel_distance`.

    Raises
    ------
    MetricError
        When a set has fewer than two rows, dimensions differ, or a feature is not finite.

    Notes
    -----
    The trace needs no matrix root. With S1 = L L' it is the sum of the square roots of the
    eigenvalues of L' S2 L, which is symmetric. Where S1 is singular, as with few rows: with centred
    features X and Y, scaled so that X'X = S1 and Y'Y = S2, it is the sum of the singular values of
    X Y', and both may be replaced by their triangular factors, at most D x D.
    """
    x, y = _checked(a, b)
    means = x.mean(0) - y.mean(0)
    left, right = _scaled(x), _scaled(y)
    spread = np.square(left).sum() + np.square(right).sum()
    cross = _cross_of_many(left, right) if min(len(x), len(y)) > x.shape[1] else None
    if cross is None:
        cross = np.linalg.svd(_root(left) @ _root(right).T, compute_uv=False).sum()
    return float(means @ means + spread - 2 * cross)


def _scaled(x: Float) -> Float:
    """Centred features (N, D) whose X'X is the unbiased covariance."""
    return np.asarray((x - x.mean(0)) / np.sqrt(len(x) - 1))


def _cross_of_many(x: Float, y: Float) -> float | None:
    """tr (S1 S2)^(1/2) by way of the covariances (D, D); None when the first is singular."""
    try:
        root = np.linalg.cholesky(x.T @ x)
    except np.linalg.LinAlgError:
        return None
    eigenvalues = np.linalg.eigvalsh(root.T @ (y.T @ y) @ root)
    return float(np.sqrt(eigenvalues.clip(0)).sum())


def _root(x: Float) -> Float:
    """A matrix R, (min(N, D), D), with R'R = X'X for `x` (N, D)."""
    return x if len(x) <= x.shape[1] else np.asarray(np.linalg.qr(x, mode="r"))


def kernel_distance(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy with the kernel ``(x'y / D + 1)^3``, unbiased.

    Binkowski et al. 2018; on Inception features this is KID, computed here over all pairs instead
    of random subsets. Unlike FID its expectation does not depend on N. It can be negative.

    Parameters
    ----------
    a, b : float, (N, D) and (M, D)
        At least two rows each.

    Raises
    ------
    MetricError
        As for :func:`frechet_distance`.
    """
    x, y = _checked(a, b)
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x) - _kernel_diagonal(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y) - _kernel_diagonal(y)) / (m * (m - 1))
    return float(within_x + within_y - 2 * _kernel_sum(x, y) / (n * m))


@dataclass(frozen=True)
class SubsetDistance:
    """Mean and standard deviation of :func:`kernel_distance` over random subsets."""

    mean: float
    std: float


def kernel_distance_of_subsets(
    a: Features, b: Features, *, subsets: int = 100, size: int = 1000, seed: int = 2020
) -> SubsetDistance:
    """KID as torch-fidelity reports it: over random subsets of both sets, drawn by its generator.

    Raises
    ------
    MetricError
        When `size` exceeds a set.
    """
    x, y = _checked(a, b)
    if size > min(len(x), len(y)):
        raise MetricError(
            f"Subsets of {size} cannot be drawn from {len(x)} and {len(y)} pictures; "
            "take a smaller size, or kernel_distance, which needs none."
        )
    rng = np.random.RandomState(seed)  # the generator of the reference
    found = []
    for _ in range(subsets):
        one = x[rng.choice(len(x), size, replace=False)]
        found.append(kernel_distance(one, y[rng.choice(len(y), size, replace=False)]))
    return SubsetDistance(float(np.mean(found)), float(np.std(found)))


def _kernel_sum(x: Float, y: Float) -> float:
    d = x.shape[1]
    total = 0.0
    for start in range(0, len(x), ROWS):
        total += float(((x[start : start + ROWS] @ y.T / d + 1) ** 3).sum())
    return total


def _kernel_diagonal(x: Float) -> float:
    return float(((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum())


@dataclass(frozen=True)
class Overlap:
    """Improved precision and recall of distributions (Kynkaanniemi et al. 2019).

    Attributes
    ----------
    precision : float
        Share of generated pictures inside the real ones' manifold: are they plausible?
    recall : float
        Share of real pictures inside the generated ones' manifold: is everything covered?
    """

    precision: float
    recall: float


def overlap(real: Features, generated: Features, neighbours: int = 3) -> Overlap:
    """Precision and recall of a set of generated pictures.

    Parameters
    ----------
    real, generated : float, (N, D) and (M, D)
    neighbours : int
        A picture's ball reaches to its so-many-th nearest neighbour in its own set.

    Raises
    ------
    MetricError
        When a set has not more rows than `neighbours`.
    """
    x, y = _checked(real, generated)
    if min(len(x), len(y)) <= neighbours:
        raise MetricError(
            f"{len(x)} and {len(y)} pictures are too few for {neighbours} nearest neighbours."
        )
    return Overlap(_inside(x, y, neighbours), _inside(y, x, neighbours))


def _inside(x: Float, y: Float, neighbours: int) -> float:
    """Share of `y` that lies in the ball of some row of `x`."""
    radii = np.concatenate(
        [
            np.partition(cdist(x[i : i + ROWS], x), neighbours, axis=1)[:, neighbours]
            for i in range(0, len(x), ROWS)
        ]
    )
    hits = [(cdist(y[i : i + ROWS], x) <= radii[None]).any(1).sum() for i in range(0, len(y), ROWS)]
    return float(sum(hits) / len(y))


def nearest(features: Features, others: Features) -> Float:
    """Distance of each row of `features` (N, D) to its nearest row of `others`; (N,)."""
    x, y = _checked(features, others, least=1)
    return np.concatenate([cdist(x[i : i + ROWS], y).min(1) for i in range(0, len(x), ROWS)])


def _checked(a: Features, b: Features, least: int = 2) -> tuple[Float, Float]:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for one in (x, y):
        if one.ndim != 2 or len(one) < least:
            raise MetricError(
                f"Features must be (pictures, dimensions) with {least} pictures or more, "
                f"not {one.shape}."
            )
        if not np.isfinite(one).all():
            raise MetricError("Some features are not finite numbers; check pictures and network.")
    if x.shape[1] != y.shape[1]:
        raise MetricError(
            f"Features of {x.shape[1]} and {y.shape[1]} dimensions come from different networks."
        )
    return x, y
