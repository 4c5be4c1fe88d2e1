"""Teaching a segmenter: losses against their definition, what counts, and a network that learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from napari_histoaug.learning.augmentation import turn_and_scale, vary_stain
from napari_histoaug.learning.batches import Examples
from napari_histoaug.learning.config import load_config
from napari_histoaug.learning.segmentation import (
    IGNORED,
    RIM,
    SegmentationTask,
    best_threshold,
    said,
)
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.segmentation_losses import cross_entropy, dice_loss
from napari_histoaug.learning.segmentation_script import segmentation_tissue, train_segmentation
from napari_histoaug.segmentation import load_segmenter


@pytest.fixture
def settings(tmp_path: Path) -> dict:
    """Fields whose vessels are simply red."""
    rng = np.random.default_rng(0)
    for folder in ("labels", "made", "made-labels"):
        (tmp_path / folder).mkdir()
    for name in ("first_x0_y0", "second_x0_y0", "made/third_x0_y0"):
        image = rng.integers(150, 200, (192, 192, 3), dtype=np.uint8)
        labels = np.zeros((192, 192), np.uint8)
        for y, x in rng.integers(0, 150, (6, 2)):
            labels[y : y + 40, x : x + 40] = 1
        image[labels > 0] = (200, 40, 40)
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        made = name.startswith("made/")
        stem = name.removeprefix("made/")
        folder = "made-labels" if made else "labels"
        Image.fromarray(labels).save(tmp_path / folder / f"{stem}.png")
    return {
        "data": {
            "tiles": str(tmp_path),
            "labels": str(tmp_path / "labels"),
            "train_cases": ["first"],
            "validation_cases": ["second"],
            "crop": 64,
        },
        "model": {"encoder": "resnet18", "width": 8, "decoder": [8, 8, 8, 8, 8]},
        "validation_crop": 64,
        "window": 64,
        "synthetic": {
            "tiles": str(tmp_path / "made"),
            "labels": str(tmp_path / "made-labels"),
        },
        "loop": {
            "out": str(tmp_path / "run"), "steps": 60, "batch": 4, "threads": 1, "ema": 0.5,
            "learning_rate": 0.01, "warmup": 5, "validate_every": 20, "sample_every": 0,
        },
    }  # fmt: skip


def task_of(settings: dict, path: Path, **changes) -> SegmentationTask:
    path.write_text(yaml.safe_dump({**settings, **changes}))
    config = load_config(SegmentationTraining, path)
    return SegmentationTask(config, *segmentation_tissue(config))


def test_losses_of_a_certain_network() -> None:
    target = torch.zeros(2, 1, 4, 4)
    target[0, 0, :2] = 1
    logits = (target * 2 - 1) * 50
    weight = torch.ones(2, 1, 4, 4)
    assert cross_entropy(logits, target, weight) < 1e-6
    assert dice_loss(logits, target, weight) < 1e-6
    # Everything called vessel: Dice 2 * 8 / (32 + 8).
    expected = 1 - (2 * 8 + 1) / (32 + 8 + 1)
    assert dice_loss(torch.full_like(logits, 50), target, weight) == pytest.approx(expected)


def test_pixels_without_weight_do_not_count() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, 2, 6, 6), (torch.rand(1, 2, 6, 6) > 0.5).float()
    weight = torch.ones(1, 1, 6, 6)
    weight[..., 3:] = 0
    for loss in (cross_entropy, dice_loss):
        part = loss(logits[..., :3], target[..., :3], weight[..., :3])
        torch.testing.assert_close(loss(logits, target, weight), part)


def test_a_label_map_says_class_rim_and_ignorance() -> None:
    labels = np.array([[0, 1, 2, RIM, RIM + 1, IGNORED]], np.uint8)
    classes, weight = said(labels, 0.2)
    assert classes.tolist() == [[0, 1, 2, 0, 1, 0]]
    np.testing.assert_allclose(weight, [[1, 1, 1, 0.2, 0.2, 0]])


def test_the_best_threshold_is_that_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    probability = np.concatenate([rng.beta(5, 3, 500), rng.beta(2, 5, 1500)])
    truth = np.arange(2000) < 500
    bins = np.minimum(probability * 64, 63).astype(int)
    counts = [np.bincount(bins[truth == t], minlength=64) for t in (True, False)]
    threshold, found = best_threshold(*counts)
    dices = {}
    for at in range(1, 64):
        positive = bins >= at
        dices[at / 64] = 2 * (positive & truth).sum() / (positive.sum() + truth.sum())
    assert threshold == max(dices, key=dices.__getitem__)
    assert found.dice == pytest.approx(max(dices.values()))


def test_every_batch_mixes_the_configured_share(settings: dict, tmp_path: Path) -> None:
    task = task_of(settings, tmp_path / "c.yaml", synthetic_share=0.25)
    seen = []
    for name, tissue in (("train", task.train), ("synthetic", task.synthetic)):
        cut = tissue.cut
        tissue.cut = lambda rng, size, name=name, cut=cut: (seen.append(name), cut(rng, size))[1]
    for step in range(3):
        seen.clear()
        task.batch(Examples(0, step, 8, 0, 8))
        assert seen.count("synthetic") == 2


def test_an_example_does_not_depend_on_the_batch_it_is_in(settings: dict, tmp_path: Path) -> None:
    task = task_of(settings, tmp_path / "c.yaml")
    whole = task.batch(Examples(3, 5, 8, 0, 8))
    half = task.batch(Examples(3, 5, 8, 4, 4))
    for name in whole:
        torch.testing.assert_close(whole[name][4:], half[name])


def test_a_quarter_turn_is_exact_and_the_outside_is_unknown() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (33, 33, 3), np.uint8)
    labels = rng.integers(0, 3, (33, 33)).astype(np.uint8)
    turned, turned_labels = turn_and_scale(image, labels, 33, np.pi / 2, 1.0, IGNORED)
    k = next(k for k in (1, 3) if (np.rot90(labels, k) == turned_labels).all())
    assert np.abs(turned.astype(int) - np.rot90(image, k)).max() <= 1
    _, wide = turn_and_scale(image, labels, 33, 0.0, 0.5, IGNORED)
    assert (wide[:8] == IGNORED).all()
    assert (wide[9:24, 9:24] != IGNORED).all()


def test_stain_variation_changes_colours_not_structure() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(60, 240, (20, 20, 3), np.uint8)
    np.testing.assert_array_equal(vary_stain(image, rng, 0.0), image)
    varied = vary_stain(image, np.random.default_rng(2), 0.2)
    assert 1 < np.abs(varied.astype(int) - image).mean() < 40
    grey, varied_grey = image.mean(2).ravel(), varied.mean(2).ravel()
    assert np.corrcoef(grey, varied_grey)[0, 1] > 0.9


def test_a_network_learns_what_is_red_and_its_folder_works(
    settings: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(settings))
    assert train_segmentation(["--config", str(path)]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    dice = max(row.get("held_out_dice", 0) for row in rows)
    assert dice > 0.8
    segmenter = load_segmenter(tmp_path / "run" / "segmenter", "cpu")
    field = np.asarray(Image.open(tmp_path / "second_x0_y0.png"))[None]
    truth = np.asarray(Image.open(tmp_path / "labels" / "second_x0_y0.png"))
    found = segmenter.labels(segmenter.probabilities(field)[0])
    both = ((found > 0) & (truth > 0)).sum()
    assert 2 * both / ((found > 0).sum() + (truth > 0).sum()) > 0.7
    assert (tmp_path / "run" / "report.html").exists()
    # Another run goes on from there, if it is to have the same shape.
    start = f"start={tmp_path / 'run' / 'segmenter'}"
    again = ["--config", str(path), start, f"loop.out={tmp_path / 'again'}", "loop.steps=1"]
    assert train_segmentation([*again, "loop.learning_rate=1e-9"]) == 0
    log = (tmp_path / "again" / "log.jsonl").read_text()
    rows = [json.loads(line) for line in log.splitlines()]
    assert max(row.get("held_out_dice", 0) for row in rows) == pytest.approx(dice, abs=0.1)
    assert train_segmentation([*again, "model.width=16"]) == 2
    assert "has another shape than `model` says" in capsys.readouterr().err


def test_it_ends_when_it_gets_no_better(settings: dict, tmp_path: Path) -> None:
    settings["loop"] |= {"learning_rate": 1e-12, "validate_every": 2, "steps": 40}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({**settings, "patience": 3}))
    assert train_segmentation(["--config", str(path)]) == 0
    state = json.loads(next((tmp_path / "run").glob("checkpoint-*/state.json")).read_text())
    assert state["step"] < 40
    # Done is done: the same command takes no further step.
    assert train_segmentation(["--config", str(path)]) == 0
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.labels": "null"}, "needs label maps"),
        ({"data.crop": "70"}, "multiple of 32"),
        ({"synthetic.tiles": "/nowhere"}, "holds no generated image"),
        ({"rim_weight": "2"}, "rim_weight"),
    ],
)
def test_a_bad_setting_has_its_sentence(settings, tmp_path, capsys, changes, said) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(settings))
    overrides = [f"{name}={value}" for name, value in changes.items()]
    assert train_segmentation(["--config", str(path), *overrides]) == 2
    assert said in capsys.readouterr().err
