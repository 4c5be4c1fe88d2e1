"""Distances between sets of features: closed forms, the definition, and torch-fidelity."""

import numpy as np
import pytest
from scipy import linalg

from napari_histoaug.metrics import (
    MetricError,
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
    nearest,
    overlap,
)


def with_moments(mean, covariance, count: int, seed: int) -> np.ndarray:
    """Features whose sample mean and covariance are exactly the given ones."""
    x = np.random.default_rng(seed).standard_normal((count, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(linalg.sqrtm(np.cov(x, rowvar=False)).real)
    return x @ linalg.sqrtm(covariance).real + mean


def random_covariance(size: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_frechet_of_commuting_gaussians_is_the_closed_form() -> None:
    m1, m2 = np.array([1.0, 2.0, 0.0]), np.array([0.0, 2.0, -1.0])
    s1, s2 = np.array([4.0, 1.0, 9.0]), np.array([1.0, 1.0, 16.0])
    a, b = with_moments(m1, np.diag(s1), 50, 0), with_moments(m2, np.diag(s2), 70, 1)
    expected = 2 + np.square(np.sqrt(s1) - np.sqrt(s2)).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_equals_the_definition_with_a_matrix_root() -> None:
    s1, s2 = random_covariance(6, 1), random_covariance(6, 2)
    a, b = with_moments(np.zeros(6), s1, 40, 3), with_moments(np.ones(6), s2, 90, 4)
    expected = 6 + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_frechet_with_fewer_pictures_than_dimensions() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((9, 30)), rng.standard_normal((12, 30)) + 0.3
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # Eigenvalues of the product are those of the symmetric form, also where it is singular.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(s1 @ s2).real, 0)).sum()
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s1 + s2) - 2 * roots
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_where_one_feature_never_changes() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((40, 6)), rng.standard_normal((50, 6)) * 1.3
    still = [np.concatenate([x, np.full((len(x), 1), 2.0)], 1) for x in (a, b)]
    assert frechet_distance(*still) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_equal_sets_are_at_distance_zero() -> None:
    a = np.random.default_rng(0).standard_normal((60, 20))
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_equals_the_double_sum() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((7, 3)) + 1

    def k(x, y) -> float:
        return (x @ y / 3 + 1) ** 3

    expected = (
        sum(k(a[i], a[j]) for i in range(5) for j in range(5) if i != j) / 20
        + sum(k(b[i], b[j]) for i in range(7) for j in range(7) if i != j) / 42
        - 2 * sum(k(x, y) for x in a for y in b) / 35
    )
    assert kernel_distance(a, b) == pytest.approx(expected)


def test_kernel_distance_is_unbiased_whatever_the_size() -> None:
    rng = np.random.default_rng(11)
    for count in (4, 40):
        draws = [kernel_distance(*rng.standard_normal((2, count, 8))) for _ in range(4000 // count)]
        error = np.std(draws) / np.sqrt(len(draws))
        assert abs(np.mean(draws)) < 4 * error
        assert min(draws) < 0


def test_subsets_of_everything_are_the_whole() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((30, 4)), rng.standard_normal((30, 4)) + 0.5
    found = kernel_distance_of_subsets(a, b, subsets=3, size=30)
    assert found.mean == pytest.approx(kernel_distance(a, b))
    assert found.std == pytest.approx(0, abs=1e-12)


def test_overlap_of_equal_disjoint_and_partial_sets() -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((50, 2))
    same, apart = overlap(a, a + 1e-9), overlap(a, a + 100)
    assert (same.precision, same.recall) == (1, 1)
    assert (apart.precision, apart.recall) == (0, 0)
    # A generator that knows one of two kinds: all plausible, half covered.
    half = overlap(np.concatenate([a, a + 100]), a[:49])
    assert half.precision == 1
    assert half.recall == pytest.approx(0.5, abs=0.06)


def test_nearest_is_the_brute_force_minimum() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((6, 5)), rng.standard_normal((9, 5))
    expected = [min(np.linalg.norm(x - y) for y in b) for x in a]
    np.testing.assert_allclose(nearest(a, b), expected)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "2 pictures or more"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "different networks"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(measure, a, b, said) -> None:
    with pytest.raises(MetricError, match=said):
        measure(a, b)


def test_too_few_pictures_for_subsets_or_neighbours() -> None:
    a = np.random.default_rng(0).standard_normal((3, 2))
    with pytest.raises(MetricError, match="Subsets of 1000"):
        kernel_distance_of_subsets(a, a)
    with pytest.raises(MetricError, match="too few"):
        overlap(a, a)
