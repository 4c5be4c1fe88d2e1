"""Figures of fillings, where the right ones are known."""

import numpy as np
import pytest

from napari_histoaug.evaluation.card import BEGIN, END, write_card
from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.evaluation.held_out import HeldOutHole
from napari_histoaug.evaluation.scores import (
    as_table,
    copying,
    crop_features,
    diversity,
    kernel_difference,
    kernel_interval,
    quartiles,
    score_fill,
)


class Colours:
    """Mean colour and spread of a picture as its features."""

    name = "colours"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, 3) / 255
        return np.concatenate([flat.mean(1), flat.std(1)], 1).astype(np.float32)


@pytest.fixture(scope="module")
def items() -> list[HeldOutHole]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    hole = np.hypot(y - 128, x - 128) < 40
    shades = rng.integers(60, 200, (24, 1, 1, 3))
    noise = rng.integers(-30, 30, (24, 256, 256, 3))
    images = np.clip(shades + noise, 0, 255).astype(np.uint8)
    return [HeldOutHole(f"f{i}", "case", image, hole, hole) for i, image in enumerate(images)]


def test_the_truth_scores_best_and_a_flat_filling_is_seen(items) -> None:
    truth = [item.image for item in items]
    flat = [np.where(i.hole[..., None], 250, i.image).astype(np.uint8) for i in items]
    real = crop_features(items, truth, Colours())
    good = score_fill(items, truth, real, Colours(), draws=50)
    bad = score_fill(items, flat, real, Colours(), draws=50)
    assert good.kid.value < 0 < bad.kid.value
    assert good.kid.low < good.kid.value < good.kid.high
    assert good.naturally_sharp == 1
    assert bad.naturally_sharp == 0
    assert good.edge.value == pytest.approx(1, abs=0.05)
    assert score_fill(items, truth[:5], real, Colours(), draws=5).holes == 5
    assert good.lpips is None

    def step(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.abs(first.astype(float) - second).mean((1, 2, 3))

    assert score_fill(items, truth, real, Colours(), step, draws=5).lpips.value == 0
    assert score_fill(items, flat, real, Colours(), step, draws=5).lpips.low > 20


def test_the_interval_is_as_wide_as_repeating_the_experiment_says() -> None:
    rng = np.random.default_rng(1)
    values = [
        kernel_interval(*rng.standard_normal((2, 60, 4)), draws=2, seed=0).value for _ in range(300)
    ]
    widths = [
        (r := kernel_interval(*rng.standard_normal((2, 60, 4)), draws=100, seed=0)).high - r.low
        for _ in range(20)
    ]
    expected = np.subtract(*np.percentile(values, [97.5, 2.5]))
    # For a degenerate statistic (equal sets) halves vary more than the whole: never too narrow.
    assert expected < np.mean(widths) < 3 * expected


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    rng = np.random.default_rng(4)
    real, first = rng.standard_normal((2, 60, 6))
    near, far = first + 0.02 * rng.standard_normal(first.shape), first + 1.5
    same = kernel_difference(real, first, first)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    alike = kernel_difference(real, first, near)
    alone = kernel_interval(real, first, draws=200, seed=0)
    assert alike.high - alike.low < 0.2 * (alone.high - alone.low)
    worse = kernel_difference(real, far, first)
    assert worse.value == pytest.approx(
        kernel_interval(real, far, draws=2, seed=0).value - alone.value
    )
    assert 0 < worse.low < worse.value < worse.high
    assert kernel_difference(real, first[:3], far[:3]).low is None


def test_a_copy_is_found() -> None:
    rng = np.random.default_rng(2)
    taught, real, made = rng.standard_normal((3, 30, 8))
    assert copying(taught, made, real).nearest_ratio > 0.5
    made[3] = taught[5] + 1e-3
    assert copying(taught, made, real).nearest_ratio < 0.01


def test_diversity_of_equal_and_of_independent_fillings() -> None:
    rng = np.random.default_rng(3)
    real = rng.standard_normal((40, 8))
    assert diversity([real, real], real) == 0
    independent = [rng.standard_normal((40, 8)) for _ in range(3)]
    assert diversity(independent, real) == pytest.approx(1, abs=0.1)


def test_quartiles_are_the_percentiles() -> None:
    found = quartiles(np.arange(101))
    assert (found.low, found.value, found.high) == (25, 50, 75)


def test_the_card_keeps_what_people_wrote(items, tmp_path) -> None:
    truth = [item.image for item in items]
    real = crop_features(items, truth, Colours())
    fills = as_table({"turbo": score_fill(items, truth, real, Colours(), draws=5)})
    copies = {"generated": {"value": 1, "low": 1, "high": 2}, "nearest_ratio": 0.9}
    copies["real"] = copies["generated"]
    figures = {
        "cases": ["a", "b"],
        "holes": 24,
        "extractor": "colours",
        "generator_sha256": "f" * 64,
        "fills": fills,
        "copying": copies,
    }
    card = tmp_path / "card.md"
    card.write_text(f"# Card\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    write_card(card, figures)
    text = card.read_text()
    assert text.startswith("# Card\n\nBefore.")
    assert text.endswith("After.\n")
    assert "| turbo | 24 |" in text
    assert "old" not in text
    card.write_text("no marks")
    with pytest.raises(EvaluationError, match="lacks the lines"):
        write_card(card, figures)
