"""Pictures are compared with the right ones, and holes are what was generated."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.metrics import frechet_distance, kernel_distance
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.image_quality import (
    Pictures,
    evenly,
    grid_of,
    judge_pictures,
    largest_vessel,
    made_hole,
    remade,
)


class Colours:
    """Mean and spread of each channel."""

    name, sha256 = "colours", "ab"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, 3) / 255
        return np.concatenate([flat.mean(1), flat.std(1)], 1)


class Change:
    """Mean absolute difference."""

    name = "change"

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.abs(first.astype(float) - second).mean((1, 2, 3))


def tissue(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(60, 180, (64, 64, 3)).astype(np.uint8) for _ in range(count)]


def test_figures_are_the_metrics_of_the_features() -> None:
    real, made = tissue(12), [np.clip(i + 40, 0, 255).astype(np.uint8) for i in tissue(8, 1)]
    found = judge_pictures(Pictures("x", "those", real, made, before=real[:8]), Colours(), Change())  # type: ignore[arg-type]
    features = [Colours()(np.stack(of)) for of in (real, made)]
    assert found["kid"]["value"] == pytest.approx(kernel_distance(*features))
    assert found["kid"]["low"] < found["kid"]["value"] < found["kid"]["high"]
    assert found["fid"]["value"] == pytest.approx(frechet_distance(*features))
    assert found["lpips"]["value"] == pytest.approx(
        np.median(Change()(np.stack(real[:8]), np.stack(made)))
    )
    assert (found["n"], found["n_real"], found["hole_kid"]) == (8, 12, None)


def test_a_hole_is_judged_by_its_crop() -> None:
    """Only the hole changes: its crops differ by far more than the whole pictures."""
    real = tissue(8)
    hole = np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    made = [image.copy() for image in tissue(8, 1)]
    for image in made:
        image[hole] = 255
    pictures = Pictures("x", "", real, made, real_holes=[hole] * 8, made_holes=[hole] * 8)
    found = judge_pictures(pictures, Colours(), None)  # type: ignore[arg-type]
    assert found["hole_kid"]["value"] >= found["kid"]["value"] > 0
    assert found["lpips"] is None
    none = [np.zeros((64, 64), bool)] * 8
    empty = Pictures("x", "", real, made, real_holes=none, made_holes=[hole] * 8)
    assert judge_pictures(empty, Colours(), None)["hole_kid"] is None  # type: ignore[arg-type]


def test_few_pictures_are_a_sentence() -> None:
    with pytest.raises(StudyError, match="fewer than four"):
        judge_pictures(Pictures("x", "", tissue(3), tissue(8)), Colours(), None)  # type: ignore[arg-type]


def test_a_generated_hole_is_its_rim_and_what_lies_within() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = 129
    labels[13:27, 13:27] = 1
    labels[2:6, 2:6] = 1  # a real vessel
    expected = np.zeros((40, 40), bool)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(made_hole(labels), expected)


def test_the_largest_vessel_is_taken_if_it_is_large_enough() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[2:6, 2:6] = 1
    assert not largest_vessel(labels).any()
    labels[10:25, 10:25] = 1
    labels[30:, :] = 255  # nobody knows
    assert largest_vessel(labels).sum() == 225
    assert not largest_vessel(np.zeros((8, 8), np.uint8)).any()


def test_patches_lie_side_by_side() -> None:
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    cut = grid_of(image, image[..., 0], 2)
    assert len(cut) == 6
    np.testing.assert_array_equal(cut[4][0], image[2:4, 2:4])
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly([1, 2], 4) == [1, 2]


def test_remade_pictures_keep_their_originals() -> None:
    real = [(image, np.zeros((64, 64), np.uint8)) for image in tissue(4)]
    found = remade(real, "x", "the same", lambda image, labels, index: image + np.uint8(index))
    assert found.before is not None
    np.testing.assert_array_equal(found.made[2], found.before[2] + 2)
